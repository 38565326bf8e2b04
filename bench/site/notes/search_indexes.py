"""One index with a document template and six fields."""

from haystack import indexes

from notes.models import Note


class NoteIndex(indexes.SearchIndex, indexes.Indexable):
    """The kinds of fields that most sites have."""

    text = indexes.CharField(document=True, use_template=True)
    title = indexes.CharField(model_attr="title")
    author = indexes.CharField(model_attr="author")
    created = indexes.DateTimeField(model_attr="created")
    rating = indexes.IntegerField(model_attr="rating")
    tags = indexes.MultiValueField()

    def get_model(self) -> type[Note]:
        """Return the model."""
        return Note

    def prepare_tags(self, note: Note) -> list[str]:
        """Return the first words of the title."""
        return note.title.split()[:2]

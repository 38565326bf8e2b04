from django.conf import settings
from django.shortcuts import get_object_or_404, render

from notices.models import Notice


def notices(request):
    return render(request, 'notices/notices.html', {
        'parish': settings.PARISH_NAME,
        'notices': Notice.objects.select_related('author')[:20],
    })


def notice(request, pk):
    return render(request, 'notices/notice.html', {
        'parish': settings.PARISH_NAME,
        'notice': get_object_or_404(Notice, pk=pk),
    })

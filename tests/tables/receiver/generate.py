"""Write the filters of the table: what users write, and what their types make of it.

go build -o /tmp/filters . && python generate.py | /tmp/filters >cases.json
"""

import json
import sys

OBJECT = {
    "apiVersion": "source.toolkit.fluxcd.io/v1",
    "kind": "GitRepository",
    "metadata": {"name": "site-dev", "namespace": "flux-system", "labels": {"env": "dev"}},
}
PUSH = {
    "ref": "refs/tags/dev/deploy", "before": "0" * 40, "after": "a" * 40, "created": True, "deleted": False,
    "repository": {"id": 4, "name": "Site", "size": 12.5, "topics": ["web", "solr"], "private": False},
    "commits": [{"id": "a", "message": "One", "added": ["x.py"]}, {"id": "b", "message": "Two", "added": []}],
    "nothing": None,
}  # fmt: skip
PING = {"zen": "Keep it simple.", "hook_id": 1}
REQUESTS = [PUSH, {**PUSH, "ref": "refs/heads/main", "deleted": True, "commits": []}, PING, {}]

FILTERS = """\
true
false
has(req.ref) && req.ref == 'refs/tags/dev/deploy'
req.ref == 'refs/tags/dev/deploy'
has(req.ref)
req.deleted
has(req.deleted) ? req.deleted : false
has(req.deleted) ? req.deleted == true : false
has(req.deleted) && req.deleted
has(req.deleted) && !req.deleted
!req.deleted
!has(req.deleted) || !req.deleted
req.repository.id % 2 == 0
int(req.repository.id) % 2 == 0
req.repository.id == 4
req.repository.id == 4.0
req.repository.id == 4u
req.repository.id > 3
req.repository.id >= 4 && req.repository.id < 5
req.repository.id + 1 == 5
req.repository.id + 1.0 == 5.0
req.repository.id * 2 == 8
req.repository.id / 2 == 2
req.repository.id / 2.0 == 2.0
-req.repository.id == -4
req.repository.id - 1.0 < 4
req.repository.size == 12.5
int(req.repository.size) == 12
string(req.repository.id) == '4'
type(req.repository.id) == double
type(req.repository.id) == int
type(req.ref) == string
type(req) == map
1 == 1.0
1 + 1.0 == 2.0
1 < 2.5
1u < 2
5 % 2 == 1
5 / 0 == 1
1.0 / 0.0 > 1.0
'a' + 'b' == 'ab'
'a' + 1 == 'a1'
'a' < 'b'
'a'
1
null
[true][0]
{'a': true}['a']
{'a': true}.a
req['ref'] == 'refs/tags/dev/deploy'
req['deleted']
'ref' in req
'ref' in req && req.ref.startsWith('refs/tags/')
req.ref.startsWith('refs/tags/')
has(req.ref) && req.ref.startsWith('refs/tags/')
has(req.ref) && req.ref.endsWith('/deploy')
has(req.ref) && req.ref.contains('dev')
has(req.ref) && req.ref.matches('^refs/tags/[a-z]+/deploy$')
has(req.ref) && req.ref.matches('(?!x)')
has(req.ref) && req.ref.matches('(')
matches('abc', 'b')
has(req.ref) && size(req.ref) > 3
has(req.ref) && req.ref.size() > 3
has(req.ref) && req.ref.split('/')[2] == 'dev'
has(req.ref) && req.ref.split('/').size() == 4
has(req.ref) && req.ref.replace('refs/', '') == 'tags/dev/deploy'
has(req.ref) && req.ref.substring(5) == 'tags/dev/deploy'
has(req.ref) && req.ref.substring(5, 9) == 'tags'
has(req.ref) && req.ref.lowerAscii() == 'refs/tags/dev/deploy'
has(req.repository) && req.repository.name.lowerAscii() == 'site'
has(req.repository) && req.repository.name.upperAscii() == 'SITE'
has(req.ref) && req.ref.indexOf('tags') == 5
has(req.ref) && req.ref.lastIndexOf('/') == 13
has(req.ref) && req.ref.charAt(0) == 'r'
has(req.ref) && req.ref.trim() == req.ref
has(req.ref) && req.ref.reverse() != req.ref
has(req.ref) && req.ref.split('/').join('-') == 'refs-tags-dev-deploy'
strings.quote('a') == '"a"'
'%s-%d'.format(['a', 1]) == 'a-1'
has(req.ref) && req.ref.format([]) == req.ref
base64.encode(b'a') == 'YQ=='
base64.decode('YQ==') == b'a'
sets.contains([1, 2], [1])
has(req.repository) && sets.contains(req.repository.topics, ['solr'])
sets.intersects(['a'], ['a', 'b'])
sets.equivalent([1], [1, 1])
has(req.repository) && 'solr' in req.repository.topics
has(req.repository) && req.repository.topics.exists(t, t == 'solr')
has(req.repository) && req.repository.topics.all(t, t.size() > 2)
has(req.repository) && req.repository.topics.exists_one(t, t == 'web')
has(req.commits) && req.commits.exists(c, 'x.py' in c.added)
has(req.commits) && req.commits.exists(c, c.message.contains('Two'))
has(req.commits) && req.commits.filter(c, c.id == 'a').size() == 1
has(req.commits) && req.commits.map(c, c.id) == ['a', 'b']
has(req.commits) && size(req.commits) == 2
has(req.commits) && req.commits[0].id == 'a'
has(req.commits) && req.commits[5].id == 'a'
has(req.commits) && req.commits[0.0].id == 'a'
[1, 2].exists(x, x > 1)
[1, 'a'].size() == 2
[1, 2.0].size() == 2
{'a': 1, 'b': 'c'}.size() == 2
dyn([1, 'a']).size() == 2
[dyn(1), dyn('a')].size() == 2
req.commits.exists(c, c.id)
has(req.nothing)
has(req.nothing) && req.nothing == null
has(req.repository) && has(req.repository.id)
has(req.repository.id)
has(req.repository) && has(req.repository['id'])
has(req)
has(req.a.b)
res.metadata.name == 'site-dev'
res.metadata.name == 'site-dev' && has(req.ref)
res.metadata.labels['env'] == 'dev'
res.metadata.labels.env == 'dev'
has(res.metadata.annotations)
res.kind == 'GitRepository'
res.spec.url == 'x'
has(res.spec)
req == {}
req == res
size(req) == 0
size(req) > 0
req.size() > 0
request.ref == 'x'
ref == 'x'
claims.sub == 'x'
req.ref = 'x'
req.ref == 'x
req.ref == "refs/tags/dev/deploy"
req.ref === 'x'
req.ref == 'x' and true
req.ref == 'x' || true
true || req.ref == 'x'
false && req.ref == 'x'
req.ref == 'x' && false
1 / 0 == 1 || true
true ? true : 1
true ? req.deleted : true
true ? 1 : 2
has(req.ref) ? req.ref == 'x' : false
bool('true')
bool(req.deleted)
has(req.deleted) && bool(req.deleted)
bool(has(req.deleted) ? req.deleted : false)
dyn(true)
dyn(true) == true
string(req.ref) == 'refs/tags/dev/deploy'
has(req.ref) && string(req.ref) in ['refs/tags/dev/deploy']
has(req.ref) && req.ref in ['refs/tags/dev/deploy', 1]
has(req.ref) && req.ref in ['refs/tags/dev/deploy']
req.?ref.orValue('') == 'refs/tags/dev/deploy'
req.?ref.hasValue()
req[?'ref'].hasValue()
optional.none().hasValue()
optional.of(1).value() == 1
req.?deleted.orValue(false)
timestamp('2026-01-01T00:00:00Z') < timestamp('2026-01-02T00:00:00Z')
timestamp('2026-01-01T00:00:00Z').getFullYear() == 2026
timestamp('2026-01-01T00:00:00Z').getHours('Europe/Berlin') == 1
timestamp('nonsense') < timestamp('2026-01-02T00:00:00Z')
timestamp(req.ref) < timestamp('2026-01-02T00:00:00Z')
now() < timestamp('2026-01-02T00:00:00Z')
duration('1h') > duration('30m')
duration('1h') > duration('x')
nosuch(req.ref)
req.ref.nosuch()
'abc'.nosuch()
'abc'.startsWith(1)
size(1) == 1
math.greatest(1, 2) == 2
cel.bind(x, 1, x == 1)
[1, 2, 3].slice(0, 1) == [1]
'abc'.matches(req.ref)
-1 < 0
!true
!'a'
!1
--1 == 1
9223372036854775807 + 1 > 0
9223372036854775808 > 0
0x10 == 16
1e3 == 1000.0
b'abc' == b'abc'
b'abc' == 'abc'
r'\\d' == '\\\\d'
'''a''' == 'a'
'\\q' == 'q'
type(1) == type(2)
type(1) == int
int == int
google.protobuf.Struct{} == req
google.protobuf.Struct{}
google.protobuf.BoolValue{value: true}
google.protobuf.BoolValue{value: true} == true
NoSuch{a: 1}
has(req.ref) && (req.ref == 'refs/tags/dev/deploy' || req.ref == 'dev/deploy')
(has(req.ref) && req.ref == 'refs/tags/dev/deploy')
has(req.ref) && req.ref == 'refs/tags/dev/deploy' || has(req.ref_type) && req.ref_type == 'tag'
has(req.created) && req.created == true && has(req.deleted) && req.deleted == false
has(req.hook_id) && req.hook_id == 1
has(req.zen)
req.exists(k, k == 'ref')
req.all(k, k != 'zen')
has(req.repository) && req.repository.exists(k, k == 'id')
has(req.repository) && req.repository.private == false
has(req.repository) && req.repository.private != 'false'
has(req.repository) && req.repository.id == '4'
has(req.repository) && req.repository.id in [4]
has(req.repository) && req.repository.id in [4.0]
has(req.after) && req.after != '0000000000000000000000000000000000000000'
has(req.after) && int(req.after) == 0
has(req.repository) && double(req.repository.id) == 4.0
has(req.repository) && uint(req.repository.id) == 4u
// a remark
true // a remark
"""


def main() -> None:
    """Write all of them as JSON."""
    filters = [{"filter": line} for line in FILTERS.splitlines()]
    filters += [
        {"filter": text} for text in ("", " ", "has(req.ref) &&\n  req.ref == 'refs/tags/dev/deploy'\n")
    ]
    json.dump({"res": OBJECT, "requests": REQUESTS, "filters": filters}, sys.stdout)


if __name__ == "__main__":
    main()

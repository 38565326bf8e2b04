from django.contrib import admin
from django.urls import include, path, re_path

from notices.views import notice, notices

urlpatterns = [
    path('', notices, name='notices'),
    re_path(r'^notices/(?P<pk>\d+)/$', notice, name='notice'),
    path('find/', include('haystack.urls')),
    path('admin/', admin.site.urls),
]

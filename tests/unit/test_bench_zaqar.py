"""The stand-in for Keystone that ``tests/bench/zaqar.py`` has for Zaqar, as Zaqar's client of Keystone sees it."""

from bench.zaqar import keystone
from keystoneauth1.identity import Password
from keystoneauth1.session import Session


def test_whoever_logs_in_learns_where_swift_is():
    with keystone('http://127.0.0.1:8080/v1/AUTH_zaqar') as auth_url:
        auth = Password(auth_url=auth_url, username='zaqar', password='secret', project_name='service',
                        user_domain_name='Default', project_domain_name='Default')
        session = Session(auth=auth)
        assert session.get_endpoint(service_type='object-store') == 'http://127.0.0.1:8080/v1/AUTH_zaqar'
        assert session.get_token()
        assert not auth.get_auth_ref(session).will_expire_soon()

"""zCompute's access keys: AWS's query protocol, form in and XML out, signed with SigV4 or sent with our token."""

import os
import re
from collections.abc import Mapping
from urllib.parse import urlencode

from clouds.answers import Answer
from clouds.errors import Conflict, Invalid
from clouds.http import RegionHttp
from clouds.port import AccessKey
from clouds.regions import RegionsError
from clouds.session import IdentitySession
from clouds.zadara_options import ZadaraOptions

_FORM = {"content-type": "application/x-www-form-urlencoded; charset=utf-8", "accept": "text/xml"}
_KEY = re.compile(rb"<member>(.{0,4096}?)</member>", re.DOTALL)
_ID = re.compile(rb"<AccessKeyId>([\w-]{8,128})</AccessKeyId>")
_SECRET = re.compile(rb"<SecretAccessKey>([^<\s]{8,256})</SecretAccessKey>")
_PROJECT = re.compile(rb"<ProjectId>([\w-]{1,128})</ProjectId>")
_CODE = re.compile(rb"<Code>(\w{1,64})</Code>")


class ZadaraKeys:
    """CreateAccessKey, ListAccessKeys and DeleteAccessKey; the answers are picked apart without an XML parser, since
    three flat fields are wanted and the sender is not trusted.
    """

    def __init__(self, http: RegionHttp, session: IdentitySession, options: ZadaraOptions, path: str) -> None:
        self._http = http
        self._session = session
        self._path = path
        self._unscoped_are_ours = options.unscoped_keys_are_ours
        self._sign_region = options.sign_region
        self._access_key = options.sign_access_key
        self._secret = os.environ.get(options.sign_secret_env, "") if options.sign_secret_env else ""
        if bool(self._access_key) != bool(self._secret):
            raise RegionsError(
                f"region {http.region.code!r}: options: sign_access_key needs sign_secret_env, and its variable set"
            )

    async def issue(self, project_id: str, user_name: str) -> AccessKey:
        """Raises Conflict (``key_limit``), and TimeoutUnknown where a key may have been made."""
        answer = await self._query("CreateAccessKey", project_id, user_name)
        if answer.status == 409 and _code(answer) == "LimitExceeded":
            raise Conflict("The user has as many access keys as the cloud allows.", code="key_limit")
        body = answer.expect("issue a key", 200).body
        key_id, secret = _ID.search(body), _SECRET.search(body)
        if key_id is None or secret is None:
            raise Invalid("The cloud's answer to CreateAccessKey has no key.")
        return AccessKey(key_id[1].decode(), secret[1].decode())

    async def list(self, project_id: str, user_name: str) -> frozenset[str]:
        return (await self.read(project_id, user_name))[0]

    async def read(self, project_id: str, user_name: str) -> tuple[frozenset[str], bool]:
        """Keys of this project. One that does not say its project is left out, lest another project's be revoked,
        unless the region's ``unscoped_keys_are_ours`` says that the cloud lists one project's keys only. And whether
        these are all: False where one was left out.

        Raises Invalid for a list that the cloud has cut: a key that is missing from it would stay when access ends.
        """
        answer = await self._query("ListAccessKeys", project_id, user_name, repeatable=True)
        if answer.status == 404 and _code(answer) == "NoSuchEntity":
            return frozenset(), True
        body = answer.expect("list keys", 200).body
        if b"<IsTruncated>true</IsTruncated>" in body:
            raise Invalid("The cloud cuts its list of the user's access keys short; delete those that nobody uses.")
        found, is_whole = set(), True
        for member in _KEY.findall(body):
            scope = _PROJECT.search(member)
            is_whole &= scope is not None or self._unscoped_are_ours
            is_ours = scope[1].decode() == project_id if scope else self._unscoped_are_ours
            if is_ours and (key_id := _ID.search(member)):
                found.add(key_id[1].decode())
        return frozenset(found), is_whole

    async def revoke(self, project_id: str, user_name: str, key_id: str) -> None:
        answer = await self._query("DeleteAccessKey", project_id, user_name, repeatable=True, AccessKeyId=key_id)
        if not (answer.status == 404 and _code(answer) == "NoSuchEntity"):
            answer.expect("revoke a key", 200)

    async def _query(
        self, action: str, project_id: str, user_name: str, *, repeatable: bool = False, **more: str
    ) -> Answer:
        form = {"Action": action, "Version": "2010-05-08", "UserName": user_name, "ProjectId": project_id, **more}
        body = urlencode(form).encode()
        if not self._access_key:
            return await self._session.call(action, "POST", self._path, body=body, headers=_FORM, repeatable=repeatable)
        headers = self._signed(body)
        return await self._http.call(action, "POST", self._path, body=body, headers=headers, repeatable=repeatable)

    def _signed(self, body: bytes) -> Mapping[str, str]:
        from botocore.auth import SigV4Auth  # type: ignore[import-untyped]  # botocore ships no types
        from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]  # botocore ships no types
        from botocore.credentials import Credentials  # type: ignore[import-untyped]  # botocore ships no types

        request = AWSRequest("POST", self._http.region.url.rstrip("/") + self._path, headers=_FORM, data=body)
        SigV4Auth(Credentials(self._access_key, self._secret), "iam", self._sign_region).add_auth(request)
        return {name.lower(): value for name, value in request.headers.items()}


def _code(answer: Answer) -> str:
    found = _CODE.search(answer.body[:4096])
    return found[1].decode() if found else ""

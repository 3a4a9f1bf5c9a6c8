"""The old way: everything in the request, one call after the other."""

import uuid


def api():
    from fastapi import FastAPI
    from web import ProjectIn
    from work import CREATE, Threads, created

    app = FastAPI()

    @app.post("/admin/v1/projects", status_code=201)
    def create(body: ProjectIn):
        project = str(uuid.uuid4())
        Threads.execute(CREATE, *created(project, body.name, body.users))
        Threads.link(project)
        for user in range(body.users):
            Threads.sync_user(project, user)
        Threads.activate(project)
        return {"id": project, "status": "active"}

    return app

"""A stand-in."""
from fastapi import FastAPI
from ray import serve
import os

app = FastAPI()

@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "ok", "v": os.environ.get("APP_CODE_VERSION",""), "u": os.environ.get("OPEVA_MONGO_URI","")}

@serve.deployment(ray_actor_options={"num_cpus": 0})
@serve.ingress(app)
class Api: pass

def build(args: dict) -> serve.Application:
    return Api.bind()

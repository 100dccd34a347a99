//! The API under `/api/v1`: thin handlers over the libraries, described by `docs/openapi.json`.

mod addresses;
mod archive;
mod audit;
mod clusters;
mod configuration;
mod coverage;
mod edges;
mod entities;
mod events;
mod links;
mod manifests;
mod messages;
mod namespaces;
mod policies;
mod reach;
mod readiness;
mod reviews;
mod revision;
mod scope;
mod situation;
mod sources;
mod spec;
mod state;
mod topology;
mod words;

use std::sync::Arc;

use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::state::Api;
use crate::problem::{Json, Problem};
use crate::{App, auth, enrol, ingest};

/// What the document says beside the paths.
#[derive(OpenApi)]
#[openapi(info(
    title = "Ringfence",
    description = "Least-privilege network policies from observed traffic and people's judgement, proven before they \
                   are applied.",
    version = "1",
    license(name = "Apache-2.0", identifier = "Apache-2.0")
), servers((url = "/api/v1")))]
struct Document;

/// Everything under `/api/v1` but flow ingest and logging in, with the description of these too.
pub fn router(app: Arc<App>) -> OpenApiRouter {
    paths().with_state(Arc::new(Api::new(app)))
}

/// The description of everything that [`router`] serves, as `docs/openapi.json` has it.
pub fn document() -> utoipa::openapi::OpenApi {
    paths().into_openapi()
}

fn paths() -> OpenApiRouter<Arc<Api>> {
    let described = Document::openapi()
        .merge_from(auth::Description::openapi())
        .merge_from(enrol::Description::openapi())
        .merge_from(ingest::Description::openapi());
    OpenApiRouter::with_openapi(described)
        .routes(routes!(clusters::list))
        .routes(routes!(namespaces::list))
        .routes(routes!(entities::list))
        .routes(routes!(messages::list))
        .routes(routes!(edges::list))
        .routes(routes!(addresses::list))
        .routes(routes!(topology::get))
        .routes(routes!(readiness::get))
        .routes(routes!(links::link))
        .routes(routes!(reviews::get, reviews::patch))
        .routes(routes!(reviews::versions))
        .routes(routes!(reviews::undo))
        .routes(routes!(reviews::yaml))
        .routes(routes!(configuration::get, configuration::patch))
        .routes(routes!(configuration::versions))
        .routes(routes!(configuration::undo))
        .routes(routes!(configuration::preview))
        .routes(routes!(policies::get))
        .routes(routes!(policies::yaml))
        .routes(routes!(policies::archive))
        .routes(routes!(manifests::existing))
        .routes(routes!(manifests::judge))
        .routes(routes!(reach::reach))
        .routes(routes!(reach::exposure))
        .routes(routes!(reach::diff))
        .routes(routes!(links::explain))
        .routes(routes!(sources::list))
        .routes(routes!(audit::list))
        .routes(routes!(events::watch))
}

pub(crate) use sources::Dropped;

/// What handlers answer with.
type Answer<T> = Result<Json<T>, Problem>;

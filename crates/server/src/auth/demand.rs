//! The roles that handlers demand, as extractors.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::principal::{Principal, Role};
use crate::problem::Problem;

/// Somebody who may read.
#[derive(Clone, Debug)]
pub struct Viewer(pub Principal);

/// Somebody who may change reviews.
#[derive(Clone, Debug)]
pub struct Editor(pub Principal);

/// Somebody who may change the configuration.
#[derive(Clone, Debug)]
pub struct Admin(pub Principal);

impl<S: Sync> FromRequestParts<S> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        demand(parts, Role::Viewer).map(Self)
    }
}

impl<S: Sync> FromRequestParts<S> for Editor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        demand(parts, Role::Editor).map(Self)
    }
}

impl<S: Sync> FromRequestParts<S> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        demand(parts, Role::Admin).map(Self)
    }
}

fn demand(parts: &Parts, least: Role) -> Result<Principal, Problem> {
    let Some(principal) = parts.extensions.get::<Principal>() else {
        return Err(Problem::unauthorized("the request does not say who asks")
            .with_hint("log in, or send a token as Authorization: Bearer"));
    };
    if principal.role < least {
        return Err(Problem::forbidden(format!(
            "{} has the role {}, and this needs {}",
            principal.name, principal.role, least
        )));
    }
    Ok(principal.clone())
}

#[cfg(test)]
mod tests {
    use axum::extract::FromRequestParts;
    use axum::http::Request;

    use super::{Admin, Editor, Viewer};
    use crate::principal::{Principal, Role};

    /// The status with which each of the three is refused.
    async fn refused(role: Option<Role>) -> [Option<u16>; 3] {
        let (mut parts, ()) = Request::new(()).into_parts();
        if let Some(role) = role {
            parts.extensions.insert(Principal { name: "somebody".into(), role });
        }
        let viewer = Viewer::from_request_parts(&mut parts, &()).await.map(|_| ());
        let editor = Editor::from_request_parts(&mut parts, &()).await.map(|_| ());
        let admin = Admin::from_request_parts(&mut parts, &()).await.map(|_| ());
        [viewer, editor, admin].map(|asked| asked.err().map(|problem| problem.status().as_u16()))
    }

    #[tokio::test]
    async fn each_role_includes_those_before() {
        assert_eq!(refused(None).await, [Some(401); 3]);
        assert_eq!(refused(Some(Role::Viewer)).await, [None, Some(403), Some(403)]);
        assert_eq!(refused(Some(Role::Editor)).await, [None, None, Some(403)]);
        assert_eq!(refused(Some(Role::Admin)).await, [None, None, None]);
    }
}

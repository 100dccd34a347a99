//! What is open to more than the pods of today.

use ringfence_advise::{Connectivity, Exposed, Exposure, Focus, FocusSide};
use ringfence_model::Direction;
use serde::Serialize;

use crate::ports;

/// What is open to addresses, to every namespace, and to pods that do not exist yet.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Exposures {
    /// The profile of the network plugin.
    pub profile: String,
    /// The openings.
    pub exposure: Vec<Opening>,
}

/// One opening of one end.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Opening {
    /// As the links of `reach` name it.
    pub end: String,
    /// The direction.
    pub direction: OpeningDirection,
    /// To whom, in one word.
    pub kind: OpeningKind,
    /// To whom it is open, in words.
    pub to: String,
    /// `TCP/80`, `TCP/8000-8080`, `UDP/all`, `all`, and for egress names whose number the destination tells: `TCP/http`.
    pub ports: Vec<String>,
    /// The rules that open it; none when no policy isolates it.
    pub because: Vec<String>,
}

/// The direction of an [`Opening`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum OpeningDirection {
    /// Others may connect to it.
    Ingress,
    /// It may connect to others.
    Egress,
}

impl OpeningDirection {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

impl From<Direction> for OpeningDirection {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Ingress => Self::Ingress,
            Direction::Egress => Self::Egress,
        }
    }
}

/// To whom an [`Opening`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum OpeningKind {
    /// No policy isolates it.
    Unrestricted,
    /// A rule names no peer.
    Everybody,
    /// Every pod.
    EveryPod,
    /// Pods with some labels of every namespace.
    EveryNamespace,
    /// Pods, of today and later.
    Pods,
    /// Addresses.
    Addresses,
}

impl OpeningKind {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unrestricted => "unrestricted",
            Self::Everybody => "everybody",
            Self::EveryPod => "everyPod",
            Self::EveryNamespace => "everyNamespace",
            Self::Pods => "pods",
            Self::Addresses => "addresses",
        }
    }
}

/// The openings of the ends in focus, as the engine tells them.
pub fn found(connectivity: &Connectivity<'_>, focus: &Focus) -> Vec<Exposure> {
    (0..connectivity.groups().len())
        .filter(|end| focus.contains(*end))
        .flat_map(|end| directions(focus.side()).iter().map(move |direction| (end, *direction)))
        .flat_map(|(end, direction)| connectivity.exposure(end, direction))
        .collect()
}

const fn directions(side: FocusSide) -> &'static [Direction] {
    match side {
        FocusSide::Either => &Direction::BOTH,
        FocusSide::From => &[Direction::Egress],
        FocusSide::To => &[Direction::Ingress],
    }
}

/// One opening of the end of that name.
pub fn opening(end: &str, exposure: &Exposure) -> Opening {
    let mut ports = ports(&exposure.connections);
    ports.extend(exposure.names.iter().map(|(protocol, name)| format!("{protocol}/{name}")));
    Opening {
        end: end.to_owned(),
        direction: exposure.direction.into(),
        kind: match exposure.to {
            Exposed::Unrestricted => OpeningKind::Unrestricted,
            Exposed::Everybody => OpeningKind::Everybody,
            Exposed::EveryPod => OpeningKind::EveryPod,
            Exposed::EveryNamespace(_) => OpeningKind::EveryNamespace,
            Exposed::Pods { .. } => OpeningKind::Pods,
            Exposed::Addresses(_) => OpeningKind::Addresses,
        },
        to: exposure.to.to_string(),
        ports,
        because: exposure.because.clone(),
    }
}

/// The openings of the ends in focus.
pub fn exposures(profile: &str, connectivity: &Connectivity<'_>, focus: &Focus) -> Exposures {
    let opened = found(connectivity, focus).into_iter().map(|exposure| {
        opening(&connectivity.name(&connectivity.groups()[exposure.group]), &exposure)
    });
    Exposures { profile: profile.to_owned(), exposure: opened.collect() }
}

//! Containers whose agp has died. They end by themselves with it; what is still there of them is
//! found by its label and removed.

use serde_json::Value;

use super::engine::Engine;
use super::error::EngineError;
use super::host_config::{LABEL_HOME, LABEL_SESSION};

/// A container that was left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// Its id.
    pub container: String,
    /// Its session.
    pub session: String,
}

/// The containers of this home's sessions that are not live.
///
/// # Errors
/// [`EngineError`] when the daemon does not list them.
pub fn leftovers(
    engine: &Engine,
    home: &str,
    live: &dyn Fn(&str) -> bool,
) -> Result<Vec<Leftover>, EngineError> {
    let containers = engine.labelled(LABEL_HOME, home)?;
    let leftovers = containers.into_iter().filter_map(|listed| {
        let session = listed.labels.get(LABEL_SESSION).and_then(Value::as_str)?;
        (!live(session)).then(|| Leftover {
            session: session.to_owned(),
            container: listed.id.clone(),
        })
    });
    Ok(leftovers.collect())
}

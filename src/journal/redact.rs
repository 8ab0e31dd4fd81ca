//! stub
use serde_json::{Map, Value};
#[derive(Debug)]
pub struct Screen;
impl Screen {
    pub fn secret_in(&self, _: &Map<String, Value>) -> Option<&str> {
        None
    }
}
pub fn redact_tokens(_: &mut Map<String, Value>) {}

//! stub
#![allow(missing_docs, reason = "stub")]
use serde_json::{Map, Value};
#[derive(Debug)]
pub struct Screen;
impl Screen {
    pub fn new(_: Vec<Secret>) -> Self {
        Screen
    }
    pub fn secret_in(&self, _: &Map<String, Value>) -> Option<&str> {
        None
    }
}
#[derive(Debug)]
pub struct Secret;
impl Secret {
    pub fn new(_: String, _: String) -> Self {
        Secret
    }
}
pub fn redact_tokens(_: &mut Map<String, Value>) {}
pub fn journaled_args(a: &Map<String, Value>) -> Value {
    Value::Object(a.clone())
}

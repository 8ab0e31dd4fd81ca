//! Which image a session runs in: a reference that means the same tomorrow.

use std::fmt;

use crate::contracts::sandbox::SandboxError;

use super::engine::{Engine, Image, is_digest};

/// Tags that are moved as a matter of course: what they name is not what was looked at before.
const MOVING: [&str; 22] = [
    "latest", "stable", "edge", "main", "master", "nightly", "dev", "devel", "next", "lts",
    "rolling", "canary", "beta", "current", "head", "trunk", "snapshot", "daily", "weekly",
    "testing", "unstable", "sid",
];

/// Whether a tag is moved: it is one of these, or a variant of one (`latest-slim`, `3-latest`).
fn moves(tag: &str) -> bool {
    let tag = tag.to_ascii_lowercase();
    let mut parts = tag.split(['-', '.', '_']);
    MOVING.contains(&tag.as_str()) || parts.any(|part| part == "latest")
}

/// Bytes of a reference.
const REFERENCE_BYTES: usize = 512;

/// A reference of the operator's that may mean another image tomorrow, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpinned {
    /// The reference.
    pub reference: String,
    /// Why.
    pub why: Why,
}

/// Why a reference is not pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// It is no reference of an image.
    NoReference,
    /// What it names as a digest is none.
    NoDigest,
    /// It names neither tag nor digest.
    NoTag,
    /// Its tag is moved as a matter of course.
    Moves(String),
}

impl fmt::Display for Unpinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reference = &self.reference;
        match &self.why {
            Why::NoReference => write!(f, "{reference:?} is not an image reference"),
            Why::NoDigest => write!(f, "{reference}: the digest must be sha256:…"),
            Why::NoTag => write!(
                f,
                "{reference} has neither tag nor digest, so it may change"
            ),
            Why::Moves(tag) => write!(f, "{reference}: the tag {tag} may move to another image"),
        }
    }
}

impl std::error::Error for Unpinned {}

/// Checks that a reference is pinned: by its digest, or by a tag that is not a moving one.
///
/// # Errors
/// Why it is not, and what would be.
pub fn pinned(reference: &str) -> Result<(), Unpinned> {
    let unpinned = |why| {
        let reference = reference.to_owned();
        Err(Unpinned { reference, why })
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/:@".contains(&byte);
    if reference.is_empty() || reference.len() > REFERENCE_BYTES || !reference.bytes().all(plain) {
        return unpinned(Why::NoReference);
    }
    if reference.contains("..") || reference.starts_with(['/', '-', '.']) {
        return unpinned(Why::NoReference);
    }
    if is_digest(reference) {
        return Ok(());
    }
    if let Some((_, digest)) = reference.split_once('@') {
        return if is_digest(digest) {
            Ok(())
        } else {
            unpinned(Why::NoDigest)
        };
    }
    let name = reference.rsplit('/').next().unwrap_or_default();
    match name.split_once(':') {
        None => unpinned(Why::NoTag),
        Some((_, tag)) if moves(tag) => unpinned(Why::Moves(tag.to_owned())),
        Some((name, tag)) if name.is_empty() || tag.is_empty() => unpinned(Why::NoReference),
        Some(_) => Ok(()),
    }
}

/// The image of a reference: pinned, there, and bounded.
///
/// # Errors
/// [`SandboxError`] when it is not.
pub fn find(engine: &Engine, reference: &str) -> Result<Image, SandboxError> {
    pinned(reference).map_err(|why| {
        SandboxError(format!(
            "{why}. Pin it: NAME@sha256:…, NAME:VERSION, or sha256:…"
        ))
    })?;
    let image = engine.image(reference).map_err(|error| {
        if error.status() == Some(404) {
            let how = match is_digest(reference) {
                true => "`docker image ls --no-trunc` lists the local images".to_owned(),
                false => format!("run `docker pull {reference}`, or build it (see docs/images.md)"),
            };
            return SandboxError(format!(
                "no local image {reference}, and agp does not pull images: {how}"
            ));
        }
        SandboxError(error.to_string())
    })?;
    let digest = reference.split_once('@').map(|(_, digest)| digest);
    let digest = digest.or_else(|| is_digest(reference).then_some(reference));
    let known = digest.is_none_or(|digest| {
        image.id == digest || image.digests.iter().any(|known| known.ends_with(digest))
    });
    if !known {
        return Err(SandboxError(format!(
            "Docker returned {} for {reference}",
            image.id
        )));
    }
    if let Some(volume) = image.volumes.first() {
        return Err(SandboxError(format!(
            "the image {reference} declares the volume {volume}, which has no size limit: build it \
                without VOLUME"
        )));
    }
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_means_the_same_tomorrow_is_taken() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        for fine in [
            "agp-claude:2.1.330".to_owned(),
            "registry.example:5000/team/image:1".to_owned(),
            format!("debian@{digest}"),
            format!("debian:latest@{digest}"),
            digest,
        ] {
            assert_eq!(pinned(&fine), Ok(()), "{fine}");
        }
        for moving in [
            "debian",
            "debian:latest",
            "debian:Latest",
            "debian:latest-slim",
            "debian:12-latest",
            "debian:unstable",
            "registry.example:5000/debian",
            "debian@sha256:12",
            "debian@md5:12",
            "",
            ":1",
            "a:",
            "../../v1.41/containers/x:1",
            "a:1?x=y",
            "a b:1",
        ] {
            assert!(pinned(moving).is_err(), "{moving}");
        }
    }
}

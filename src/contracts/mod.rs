//! The contracts: data and traits every part agrees on. Imports nothing of this crate.
//!
//! A change to a wire format here is an entry in `docs/design.md` and a new test vector.

#[cfg(feature = "agp")]
pub mod approver;
pub mod attendant;
pub mod bounded_file;
pub mod call;
#[cfg(feature = "agp")]
pub mod channel;
pub mod event;
pub mod fold;
#[cfg(all(feature = "agp", any(test, fuzzing)))]
pub(crate) mod fuzz;
#[cfg(feature = "agp")]
pub mod grant;
pub mod ids;
pub mod intendant;
pub mod limits;
pub mod lock;
pub mod message;
pub mod plural;
#[cfg(feature = "agp")]
pub mod question;
pub mod sandbox;
#[cfg(feature = "agp")]
pub mod secret;
pub mod strict_json;
#[cfg(feature = "agp")]
pub mod surrogates;
pub mod timestamp;
pub mod verdict;
#[cfg(feature = "agp")]
pub mod view;

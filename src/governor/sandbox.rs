//! Where agp runs the calls that it executes itself.

use serde_json::Value;

use crate::contracts::sandbox::{Execution, SandboxError};
use crate::journal::Permit;

/// A place to run calls in. It runs the call that is in the permit, which is the journal's proof that
/// this call was allowed durably; it is taken by value, so one permit runs one call, and nothing runs
/// before the journal spoke:
///
/// ```compile_fail,E0308
/// use agp::contracts::call::ToolCall;
/// fn without_a_permit(sandbox: &dyn agp::governor::Sandbox, call: ToolCall) {
///     let _ = sandbox.exec(call);
/// }
/// ```
///
/// ```compile_fail,E0382
/// fn twice(sandbox: &dyn agp::governor::Sandbox, permit: agp::journal::Permit) {
///     let _ = sandbox.exec(permit);
///     let _ = sandbox.exec(permit);
/// }
/// ```
///
/// ```compile_fail,E0061
/// use agp::contracts::call::ToolCall;
/// fn another(sandbox: &dyn agp::governor::Sandbox, other: &ToolCall, permit: agp::journal::Permit) {
///     let _ = sandbox.exec(other, permit);
/// }
/// ```
pub trait Sandbox: Send + Sync {
    /// The kind in events: `recording`, `process`, `docker`.
    fn kind(&self) -> &'static str;

    /// What is isolated and what is not, for `session.started`.
    fn describe(&self) -> Value;

    /// Runs the call of a permit.
    ///
    /// # Errors
    /// [`SandboxError`] when the sandbox itself failed; the session then ends.
    fn exec(&self, permit: Permit) -> Result<Execution, SandboxError>;
}

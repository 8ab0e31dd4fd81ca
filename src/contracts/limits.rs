//! Every bound in one place, each with its reason.

use std::time::Duration;

/// One gateway frame, newline included: any call that a harness itself would make, every character of a
/// model's longest answer escaped. All calls in flight together are 256 MiB of text.
pub const FRAME_BYTES: usize = 4 << 20;

/// Values in a frame: each takes up to 700 bytes of memory once it is read, and no tool has arguments of
/// so many.
pub const FRAME_VALUES: usize = 20_000;

/// One journal line, newline excluded. A frame's arguments are cut before they are journaled, so
/// a line never needs more.
pub const LINE_BYTES: usize = 1 << 20;

/// Levels of arrays and objects that a JSON text may nest: what the strict reader reads.
pub const JSON_DEPTH: usize = 127;

/// Calls being decided at the same time, approvals waiting included.
pub const CALLS_IN_FLIGHT: usize = 64;

/// Call workers that wait for a next call: as many as harnesses make calls at once. More end when they
/// have answered, and their stacks go with them.
pub const IDLE_CALL_WORKERS: usize = 8;

/// Ids remembered per session to refuse replays. A session that makes more calls is ended by
/// refusal: its ids could no longer be told from replays.
pub const CALLS_PER_SESSION: usize = 100_000;

/// Calls under a used id that a session takes: each is two events, and whoever sends them without
/// end would fill the disk.
pub const REPLAYS: u64 = 1000;
/// Arguments of a call of which each is kept in outline, to be held against what the harness shows; of more only
/// all at once.
pub const OUTLINE_ARGS: usize = 64;
/// Bytes of a reported output that is held against what the stream shows: of a longer one the stream may have cut
/// a string.
pub const RESULT_COMPARED_BYTES: u64 = 1 << 20;
/// `gate.anomaly` events of a session; more are only counted, or whoever causes them could fill the disk.
pub const ANOMALIES: u64 = 100;

/// An approval nobody answers is a deny after this long.
pub const APPROVAL_DEADLINE: Duration = Duration::from_secs(300);
/// Shortest approval deadline that can be configured.
pub const APPROVAL_DEADLINE_MIN: Duration = Duration::from_secs(1);
/// A question may wait this long to be shown before its deadline runs all the same.
pub const APPROVAL_QUEUE: Duration = Duration::from_secs(600);
/// Questions of one call that are told apart: a grant answers each by itself, and what is beyond is asked about.
pub const QUESTIONS: usize = 64;
/// Characters of what a grant covers, as people are shown it: two lines of a terminal.
pub const GRANT_WORDS: usize = 200;
/// What was asked so often in a session is offered as a grant.
pub const ASKED_BEFORE_OFFER: u32 = 3;
/// Grants of one session, revoked and expired ones too: a person gives a few.
pub const GRANTS: usize = 256;
/// Questions of one session whose repetitions are counted.
pub const ASKED_KEYS: usize = 4096;
/// Longest grant for the session that a person can give in minutes, as a day has no more.
pub const GRANT_MINUTES: u32 = 24 * 60;
/// Whoever was asked is reminded once when so much time is left: enough to read a call.
pub const APPROVAL_REMINDER: Duration = Duration::from_secs(60);
/// Longest approval deadline that can be configured.
pub const APPROVAL_DEADLINE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The bridge gives up (and denies) this long after the approval deadline, so that the governor
/// answers first in every ordinary case.
pub const BRIDGE_GRACE: Duration = Duration::from_secs(10);
/// The harness's own hook timeout lies this long above the bridge's deadline: the bridge, which
/// fails closed on every version, must speak before the harness loses patience.
pub const HOOK_GRACE: Duration = Duration::from_secs(20);

/// A peer that has connected must finish its frame within this time.
pub const FRAME_DEADLINE: Duration = Duration::from_secs(10);

/// Bytes of hook input the bridge reads: a post-tool hook carries the tool's whole output.
pub const HOOK_INPUT_BYTES: usize = 64 << 20;

/// Bytes of what the harness notes of an agent beside its transcript: some 300, and its description.
pub const AGENT_META_BYTES: u64 = 64 << 10;

/// Bytes of a tool's output that a report carries; the rest is cut and its length kept.
pub const REPORT_OUTPUT_BYTES: usize = 256 << 10;

/// Bytes of an executed call's output that its result carries to the harness. Escaped, a byte
/// can take six of the frame's.
pub const RESULT_OUTPUT_BYTES: usize = 128 << 10;

/// Bytes of a shell command's output that a model is told: as many as its harness's own shell
/// tool tells it.
pub const SHELL_ANSWER_BYTES: usize = 30_000;

/// Events one journal batch holds at most: bounds the memory of a group commit.
pub const BATCH_EVENTS: usize = 128;

/// Bytes of one string argument that a journal event keeps; the rest is cut, its length kept.
pub const JOURNALED_STRING_BYTES: usize = 2048;
/// Bytes of all arguments of one call that a journal event keeps, canonical form.
pub const JOURNALED_ARGS_BYTES: usize = 64 << 10;

/// Levels of nesting in one argument: what is journaled around it must still be readable by
/// every JSON reader, which stop at 128 or earlier.
pub const ARGS_DEPTH: usize = 64;

/// Lines that one view tells apart: each takes some 60 bytes beside its text, and an agent can send millions.
pub const VIEW_LINES: usize = 50_000;
/// Bytes of a view that is journaled whole: a screenful for every event, and a line has room for 16 of them.
pub const VIEW_JOURNALED_BYTES: usize = 64 << 10;
/// Lines of a change, old and new, that are compared: to find those that stand on both sides takes 10 ms.
pub const DIFF_LINES: usize = 40_000;
/// Of them those that stand on both sides: which of them stay takes 10 ms at worst.
pub const DIFF_COMMON_LINES: usize = 4000;
/// Lines that are held against each other to find where a patch begins: some ms.
pub const PATCH_STEPS: usize = 1 << 20;
/// Bytes that edits of a file may come to for a diff: an edit that replaces every occurrence could fill the memory.
pub const EDITED_BYTES: usize = 8 << 20;
/// Bytes that are searched for the old texts of edits, all together: some 10 ms.
pub const EDITS_SEARCHED_BYTES: usize = 64 << 20;
/// Files of a patch that are shown one by one; of a longer one the text is.
pub const PATCH_FILES: usize = 1000;
/// Bytes of a file that is shown as it was before a call.
pub const PREVIEW_BYTES: u64 = 1 << 20;
/// Files of one call that are read for that.
pub const PREVIEW_FILES: usize = 16;
/// Such a file is read within this time, or is not shown: a file system can hang.
pub const PREVIEW_PATIENCE: Duration = Duration::from_secs(1);

/// Bytes of a policy file.
pub const POLICY_BYTES: u64 = 8 << 20;
/// Rules in a policy: a decision walks all of them.
pub const POLICY_RULES: usize = 10_000;
/// Names of a repository that are looked at for files that a policy hides: 20 ms for a large one.
pub const WITHHELD_NAMES: usize = 50_000;
/// Paths that a sandbox withholds: each is a mount at each call.
pub const WITHHELD_PATHS: usize = 128;
/// Of them those that the self-test tries to read.
pub const WITHHELD_TRIED: usize = 16;
/// Bytes of a rule's id, tool pattern or tier.
pub const RULE_NAME_BYTES: usize = 128;
/// Commands that a rule names: more would be a list for a person to lose sight of.
pub const RULE_COMMANDS: usize = 100;
/// Bytes of each: what an approver would still read.
pub const RULE_COMMAND_BYTES: usize = 1024;
/// Bytes of a reason, in a policy and on the wire.
pub const REASON_BYTES: usize = 1024;

/// Bytes of a session's identifier.
pub const ID_BYTES: usize = 128;
/// Bytes of a call's identifier, which is its harness's or its model's, and may be several joined. A
/// longer one is known by its digest.
pub const MESSAGE_ID_BYTES: usize = 1024;
/// Names of offered tools that the end of a session records.
pub const TOOLS_SHOWN: usize = 64;
/// Bytes of a tool's name.
pub const TOOL_NAME_BYTES: usize = 256;

/// Bytes of a configuration, key or head file: more is not ours.
pub const SMALL_FILE_BYTES: u64 = 64 << 10;

/// Bytes of a script file for the scripted intendant.
pub const SCRIPT_BYTES: u64 = 16 << 20;

/// Bytes of one line of a harness's output stream that are kept; a longer one could not be watched, and
/// ends the session.
pub const STREAM_LINE_BYTES: usize = 64 << 20;
/// Bytes of such a line that are read: a file that the harness shows its model stands in it, in base64
/// and more than once.
pub const STREAM_LINE_READ_BYTES: usize = 256 << 20;
/// Bytes of a string in such a line, as written; a longer one is cut. No call whose arguments a frame
/// holds has one.
pub const STREAM_STRING_BYTES: usize = 8 << 20;
/// Bytes that are kept of a string that is cut: how it begins tells a refusal from a result.
pub const STREAM_STRING_KEPT_BYTES: usize = 64 << 10;

/// Bytes of a login's file: tokens are a few hundred.
pub const LOGIN_BYTES: u64 = 64 << 10;
/// Bytes of Claude Code's own file of state, which may hold a key: it grows with each project.
pub const LOGIN_STATE_BYTES: u64 = 32 << 20;
/// How often a login is looked at. Claude Code, refused with an old one, looks for a newer one for about half a
/// second.
pub const LOGIN_LOOK: Duration = Duration::from_millis(200);
/// How long before its end a login is renewed: somewhat later than Claude Code does (5 minutes), which
/// renews none before that.
pub const LOGIN_LEFT: Duration = Duration::from_secs(290);
/// How long a renewal may take before it is no longer waited for. It is not killed: the service may have
/// taken the old login back already.
pub const LOGIN_PATIENCE: Duration = Duration::from_secs(30);
/// When a renewal that did not succeed is tried again.
pub const LOGIN_AGAIN: Duration = Duration::from_secs(30);

/// A harness that is asked its version answers within this time: it takes milliseconds.
pub const VERSION_PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a harness's answer to that.
pub const VERSION_BYTES: usize = 4096;

/// Bytes of a harness's catalogue of models: a few hundred kilobytes today.
pub const CATALOGUE_BYTES: usize = 16 << 20;
/// Bytes of the operator's own configuration of a harness.
pub const HARNESS_CONFIG_BYTES: u64 = 1 << 20;
/// How long the witness lets a growing file rest before it looks again: a call is followed from
/// its result to the harness's end within 50 ms.
pub const WITNESS_REST: Duration = Duration::from_millis(4);
/// A harness that has started writes its record within this time, or is not watched.
pub const WITNESS_PATIENCE: Duration = Duration::from_secs(30);
/// Record files that one session may write: one, and one a sub-agent or compaction.
pub const WITNESS_FILES: usize = 256;
/// Observations on their way from the harness's threads to the witness.
pub const OBSERVATIONS: usize = 1024;

/// Bytes of one request that the live probe's model reads: a harness sends its whole prompt.
pub const PROBE_REQUEST_BYTES: u64 = 32 << 20;

/// Bytes of a command's output that are kept; its digest and length are of all of it.
pub const EXEC_OUTPUT_BYTES: usize = 1 << 20;
/// A command that agp runs ends within this time, unless it asks for another: what most harnesses
/// give theirs.
pub const EXEC_DEADLINE: Duration = Duration::from_secs(120);
/// Longest time that a command may ask for.
pub const EXEC_DEADLINE_MAX: Duration = Duration::from_secs(600);
/// The keeper of a command has this long beyond the command's deadline to end all it left.
pub const EXEC_GRACE: Duration = Duration::from_secs(10);
/// Bytes of one argument of a program (`MAX_ARG_STRLEN` of Linux, with the closing zero).
pub const EXEC_ARGUMENT_BYTES: usize = 128 << 10;

/// Processes in a sandbox at a time: enough to build with on many cores, and the machine stays
/// usable when all of them are there.
pub const SANDBOX_PROCESSES: u64 = 1024;
/// The same where they are counted together with all else that the user runs.
pub const SANDBOX_PROCESSES_SHARED: u64 = 4096;
/// Open files of a process in a sandbox: what build tools ask for at most.
pub const SANDBOX_OPEN_FILES: u64 = 4096;
/// Open files of a harness's process: it watches a repository's directories, and runs builds.
pub const HARNESS_OPEN_FILES: u64 = 65_536;
/// Bytes of one file that a sandbox may write: larger than any artefact of a build.
pub const SANDBOX_FILE_BYTES: u64 = 8 << 30;
/// Address space of one process: language runtimes reserve far more than they use.
pub const SANDBOX_ADDRESS_BYTES: u64 = 4 << 40;
/// Memory of its own that one process may have: a linker's worth.
pub const SANDBOX_DATA_BYTES: u64 = 16 << 30;
/// Bytes that must stay free where a sandbox may write: the journal may be on the same disk, and a
/// journal that cannot be written ends the session.
pub const SANDBOX_FREE_BYTES: u64 = 512 << 20;

/// Bytes of the head of an HTTP reply.
pub const HTTP_HEAD_BYTES: usize = 64 << 10;
/// Bytes of a reply of the Docker daemon's: a container's whole description has some 10 kilobytes.
pub const DOCKER_REPLY_BYTES: usize = 4 << 20;
/// One call of the Engine API takes at most this long: a first start from a cold image takes some
/// seconds.
pub const DOCKER_PATIENCE: Duration = Duration::from_secs(60);
/// How long the end of a session waits for the daemon to remove a container; the next one reaps what is left.
pub const DOCKER_FAREWELL: Duration = Duration::from_secs(30);
/// Bytes of what a container's first process says of itself that are kept, to say why it ended.
pub const DOCKER_WORDS_BYTES: usize = 4096;
/// Memory of a container, unless configured: a linker's worth, and the host stays usable.
pub const DOCKER_MEMORY_BYTES: u64 = 4 << 30;
/// Least memory that can be configured: below it Docker refuses, or nothing starts.
pub const DOCKER_MEMORY_BYTES_MIN: u64 = 32 << 20;
/// Cores of a container, unless configured.
pub const DOCKER_CPUS: f64 = 2.0;
/// Processes in a container, unless configured: those of agp's own included.
pub const DOCKER_PIDS: u32 = 1024;
/// Bytes of a container's `/tmp`, which is memory, and counts as such.
pub const DOCKER_TMP_BYTES: u64 = 1 << 30;
/// Bytes of a container's shared memory: Docker's own default.
pub const DOCKER_SHM_BYTES: u64 = 64 << 20;

/// Problems a verification lists; beyond it they are counted only, so memory stays flat.
pub const PROBLEMS_LISTED: usize = 10_000;

/// Bytes of the journal that one verifier worker takes at a time.
pub const VERIFY_CHUNK_BYTES: usize = 64 << 10;
/// Chunks that a core has at once, done or to be done: one that was held up delays no other so soon.
pub const VERIFY_CHUNKS: usize = 8;

/// Bytes of a secret below which it is not screened for: shorter ones match by accident.
pub const SECRET_BYTES_MIN: usize = 8;
/// Bytes of a secret in a file: a private key's worth, and less than a variable may hold.
pub const SECRET_BYTES_MAX: u64 = 64 << 10;
/// Secrets in a directory: every output is searched for all of them.
pub const SECRETS: usize = 256;

/// Bytes of a reply of Slack's Web API: real ones are a few kilobytes.
pub const SLACK_REPLY_BYTES: usize = 1 << 20;
/// Bytes of one Socket Mode frame: a click carries its whole message, some 20 kilobytes.
pub const SLACK_FRAME_BYTES: usize = 1 << 20;
/// One call of Slack's Web API, and the opening of one socket, take at most this long.
pub const SLACK_PATIENCE: Duration = Duration::from_secs(10);
/// agp's own ping on a Socket Mode connection.
pub const SLACK_PING: Duration = Duration::from_secs(10);
/// A Socket Mode connection on which nothing was heard for this long is dead: two pings went
/// unanswered.
pub const SLACK_SILENCE: Duration = Duration::from_secs(30);
/// First pause before a lost Socket Mode connection is opened again.
pub const SLACK_BACKOFF_MIN: Duration = Duration::from_secs(1);
/// Longest pause between attempts.
pub const SLACK_BACKOFF_MAX: Duration = Duration::from_secs(30);
/// Between two calls of one Slack method: what Slack asks of a channel's messages.
pub const SLACK_PACE: Duration = Duration::from_secs(1);
/// Attempts at a message that Slack fails to take. A refusal is final at once.
pub const SLACK_TRIES: u32 = 3;
/// Jobs that wait for the thread that posts: a card a call in flight, and as many besides.
pub const SLACK_JOBS: usize = 4 * CALLS_IN_FLIGHT;
/// Of those, jobs of kinds that an agent or a clicker can have without end; the rest of the room is for
/// requests and for what becomes of them.
pub const SLACK_FLOOD: usize = SLACK_JOBS / 4;
/// Rejected clicks that are journaled in a session; more are counted only, or anybody in the
/// channel could fill the disk.
pub const SLACK_REJECTIONS: u32 = 1000;
/// Frames of one Socket Mode connection that are read before the others, and the end of the session, are looked after.
pub const SLACK_FRAMES_AT_ONCE: usize = 64;
/// Characters of why somebody denies a call: a sentence or two, which the model reads.
pub const DENY_REASON_CHARS: usize = 300;
/// Characters of a person's name, as a channel knows it: Slack's own have 80 at most, and those of a kind are told apart
/// by the id beside it.
pub const PERSON_NAME_CHARS: usize = 40;
/// Requests that are over, and envelopes, that are remembered to name a late or repeated click.
pub const SLACK_REMEMBERED: usize = 1024;
/// People in `slack.approvers`.
pub const SLACK_APPROVERS: usize = 100;
/// Characters of the mentions in a request: all approvers with ids of the usual length, and within what a text may have
/// that is edited later.
pub const SLACK_MENTION_CHARS: usize = 1600;
/// Pages of a channel's members that a check reads, of [`SLACK_PAGE`] each.
pub const SLACK_PAGES: usize = 10;
/// Members on one page: as many as Slack recommends at most.
pub const SLACK_PAGE: usize = 200;
/// Bytes of any identifier that Slack gives.
pub const SLACK_ID_BYTES: usize = 255;
/// A session takes a click of another session's connection within this time, or the person clicks again.
pub const RELAY_PATIENCE: Duration = Duration::from_secs(1);
/// Clicks under way to other sessions at a time: each is a descriptor.
pub const RELAY_CLICKS: usize = 64;
/// Of those, clicks of one session: one that hangs leaves room for the others.
pub const RELAY_CLICKS_EACH: usize = 8;
/// Bytes of a click on its way to another session: its identifiers, and a name and a reason of which each character
/// may be six bytes.
pub const RELAY_LINE_BYTES: usize = 32 << 10;
/// Between two attempts to take over the connection of a session that has ended.
pub const RELAY_TRY: Duration = Duration::from_secs(1);
/// Time for the Close frame of Slack's connection, at the end of a session.
pub const SLACK_FAREWELL: Duration = Duration::from_secs(5);
/// Characters of the agent's that a card shows at first; a modal shows the rest.
pub const SLACK_CARD_CHARS: usize = 2000;
/// Characters of one code fence, fence and escapes included. A Slack text has at most 3000.
pub const SLACK_FENCE_CHARS: usize = 2900;
/// Code fences of a modal, which has at most 100 blocks and 250 kB. A call that does not fit
/// cannot be shown whole in Slack, and so not be approved there.
pub const SLACK_MODAL_FENCES: usize = 60;
/// Bytes of a modal as it is sent; Slack takes 250 kB. Characters are up to four bytes each.
pub const SLACK_MODAL_BYTES: usize = 240_000;
/// Bytes of `outbox.json`.
pub const OUTBOX_BYTES: u64 = 4 << 20;
/// Characters of each foreign word in a message that `outbox.json` holds.
pub const OUTBOX_FIELD_CHARS: usize = 300;
/// Bytes of a message in `outbox.json`, before JSON's escapes: what it has beyond is in the journal.
pub const OUTBOX_TEXT_BYTES: usize = 2 << 10;
/// Entries in `outbox.json`; without room a card gets no buttons.
pub const OUTBOX_ENTRIES: usize = 1024;
/// Of those, messages; without room one is not kept for after a crash. The rest of the room is for the cards
/// of all sessions at once.
pub const OUTBOX_MESSAGES: usize = OUTBOX_ENTRIES / 4 * 3;
/// Wait for the lock of `outbox.json`: it is held for milliseconds, but a process that is stopped holds it on.
pub const OUTBOX_LOCK: Duration = Duration::from_secs(5);
/// Entries of sessions that are over, that one start sees to: at one a second it is done within minutes, and
/// what its own session has to say comes first.
pub const OUTBOX_CLAIMS: usize = CALLS_IN_FLIGHT;
/// Things of one kind that are told one by one in a message that waits; of more, only how many they are.
pub const SLACK_LISTED: usize = 5;
/// At the end of a session, time for what is still to be said in Slack.
pub const SLACK_LAST_WORDS: Duration = Duration::from_secs(10);
/// Bytes of a file of root certificates: a whole system's bundle is a tenth of it.
pub const ROOTS_BYTES: u64 = 4 << 20;

/// Hosts of an egress allowlist: each connection is held against all of them.
pub const EGRESS_ENTRIES: usize = 256;
/// Connections through the egress proxy at a time: a thread and two descriptors each.
pub const EGRESS_CONNECTIONS: usize = 512;
/// Connections through it in a session: each is two events, and must not fill the disk.
pub const EGRESS_CONNECTIONS_PER_SESSION: u64 = 100_000;
/// Refused connections that are journaled in a session; more are counted only, or whoever asks for
/// what is not allowed could fill the disk.
pub const EGRESS_DENIALS: u64 = 1000;
/// Bytes of a CONNECT request.
pub const EGRESS_HEAD_BYTES: usize = 8 << 10;
/// Bytes until a client's TLS has named its server: with post-quantum keys and padding some 2 kB.
pub const EGRESS_HELLO_BYTES: usize = 16 << 10;
/// A request, and then the beginning of TLS, are each there within this time: programs send both at
/// once.
pub const EGRESS_HANDSHAKE: Duration = Duration::from_secs(10);
/// Looking a name up, and connecting to one of its addresses, each take at most this long.
pub const EGRESS_PATIENCE: Duration = Duration::from_secs(10);
/// Names being looked up at a time: a resolver that hangs does so for half a minute, and by TCP for as long as
/// the name server likes.
pub const EGRESS_LOOKUPS: usize = 64;
/// Addresses of one name that are tried.
pub const EGRESS_ADDRESSES: usize = 8;
/// A connection on which nothing moved for this long is ended: models think for minutes, and their
/// clients wait ten.
pub const EGRESS_IDLE: Duration = Duration::from_secs(600);
/// Bytes of one connection, both ways: more than any model's, or package's, needs.
pub const EGRESS_BYTES: u64 = 4 << 30;
/// Open files that a proxy with all its connections needs of the process.
pub const EGRESS_OPEN_FILES: u64 = 4096;

const _: () = assert!(EGRESS_OPEN_FILES > 4 * EGRESS_CONNECTIONS as u64);
const _: () = assert!(SLACK_FENCE_CHARS < 3000 && SLACK_CARD_CHARS < SLACK_FENCE_CHARS);
const _: () = assert!(SLACK_MODAL_FENCES < 100 && SLACK_MODAL_BYTES < 250_000);
const _: () = assert!(SLACK_FLOOD + 2 * CALLS_IN_FLIGHT < SLACK_JOBS);
const _: () = assert!(SLACK_REMEMBERED >= CALLS_IN_FLIGHT);
const _: () = assert!(OUTBOX_CLAIMS <= SLACK_FLOOD);
const _: () = assert!((2 * OUTBOX_TEXT_BYTES * OUTBOX_MESSAGES) as u64 * 5 / 4 <= OUTBOX_BYTES);
const _: () = assert!(RELAY_LINE_BYTES > 16 * SLACK_ID_BYTES + 12 * DENY_REASON_CHARS);
const _: () = assert!(RELAY_CLICKS > 4 * RELAY_CLICKS_EACH);
const _: () =
    assert!(STREAM_STRING_BYTES > FRAME_BYTES && STREAM_STRING_KEPT_BYTES < STREAM_STRING_BYTES);
const _: () =
    assert!(STREAM_LINE_BYTES > STREAM_STRING_BYTES && STREAM_LINE_READ_BYTES > STREAM_LINE_BYTES);
const _: () = assert!(REPORT_OUTPUT_BYTES * 2 < FRAME_BYTES);
const _: () = assert!(RESULT_OUTPUT_BYTES * 6 < FRAME_BYTES);
const _: () = assert!(JOURNALED_ARGS_BYTES * 4 < LINE_BYTES);
const _: () = assert!(VERIFY_CHUNK_BYTES <= LINE_BYTES);
const _: () = assert!(BATCH_EVENTS >= CALLS_IN_FLIGHT);

/// Bytes of a command's text that are read; beyond, it is unread. No command of a working day is as long.
pub const COMMAND_BYTES: usize = 64 * 1024;
/// Words of one program that are read; beyond, it is unread.
pub const COMMAND_WORDS: usize = 4096;

/// Commands that one `xargs` starts and that are read one by one. People type a few paths; what is more is read as
/// one command with any words.
pub const HANDED_RUNS: usize = 16;
/// Atoms of one call; beyond, it is unread.
pub const CALL_ATOMS: usize = 256;
/// Builtins and programs that only start another in one call; beyond, it is unread. A long script prints as many lines.
pub const CALL_MENTIONED: usize = 2048;
/// Shells within shells (`sh -c`, `eval`, scripts) that are read; beyond, it is unread.
pub const INNER_SHELLS: usize = 16;
/// Compound commands and substitutions within each other; beyond, it is unread.
pub const SHELL_DEPTH: usize = 64;
/// Characters that are looked at or made while braces of one text are expanded; beyond, it is unread. Sixteen times
/// what a command may hold.
pub const BRACE_STEPS: usize = 16 * COMMAND_BYTES;
/// Steps in which one call is read: commands, words and their parts, again in every pass of a loop. Some ten times
/// what a call of [`COMMAND_BYTES`] takes without loops.
pub const WALK_STEPS: usize = 4 * COMMAND_BYTES;
/// Sentences about what is unread in one call; a person reads no more.
pub const UNREAD_SENTENCES: usize = 16;
/// Characters of one word in a sentence for people.
pub const SHOWN_WORD: usize = 64;
/// Directories that a command may be in at once; beyond, nobody knows where it is.
pub const DIRECTORIES: usize = 8;
/// Directories of a PATH that a command sets, in each of which every program of it is looked for.
pub const PATH_DIRECTORIES: usize = 64;
/// Words of one pattern of a rule.
pub const PATTERN_WORDS: usize = 64;
/// Names of a directory or tree that are looked at while a call is read; beyond, they are not known.
pub const DISK_NAMES: usize = 1000;
/// Names in the repository among which another name of a file is looked for: half of [`DISK_LOOKS`], as a call has more
/// to look at.
pub const DISK_INODES: usize = 4096;
/// Bytes of a script that is read as if it stood in the command.
pub const READ_SCRIPT_BYTES: u64 = 64 * 1024;
/// Names and files that are looked at while a call is read; beyond, nothing more is known. A look takes some microseconds, all
/// of them some 20 milliseconds. A count, as what a call may do is not to depend on what else the machine does.
pub const DISK_LOOKS: usize = 8192;
/// A file system that answers later than this hangs; from then on nothing more is known. Far above the 0.1 ms of three paths,
/// as a busy machine changes no verdict.
pub const DISK_PATIENCE: Duration = Duration::from_secs(1);
/// Bytes of the policy's whole text in `session.started`; of a longer one there are the digests. Half a line: what else the
/// event says has room.
pub const STARTED_POLICY_BYTES: usize = LINE_BYTES / 2;
/// A call that changes what it would do while somebody thinks about it is asked about again, at most so often in all: whoever
/// changes it each time is not to wear people out.
pub const QUESTIONS_PER_CALL: usize = 3;
/// Bytes of a file of git's that is read: its configuration, a list of what it ignores. Real ones have some kilobytes.
pub const GIT_FILE_BYTES: u64 = 1 << 20;
/// Tools of servers of which a policy says what their arguments are.
pub const DECLARED_TOOLS: usize = 1000;
/// Paths, hosts and answers that a session remembers of each kind: more than a day of an agent's work. Beyond, any
/// file may have come from the network.
pub const MEMORY_PATHS: usize = 10_000;
/// Reasons that one verdict names: a person reads no more.
pub const REASONS: usize = 8;
/// Sessions that `agp policy decide` remembers: a recorded day of a large team. Beyond, a call of a new one is denied.
pub const DECIDE_SESSIONS: usize = 10_000;
/// Findings that `agp policy check` reports; a person mends these first.
pub const CHECK_FINDINGS: usize = 1000;
/// Bytes of a file of cases that `agp policy test` reads.
pub const CASES_BYTES: u64 = 64 << 20;
/// Looking at the file system for one case of `agp policy test`: nothing hangs there, and a busy machine is no reason
/// for another answer.
pub const CASE_PATIENCE: Duration = Duration::from_secs(10);

/// People who attend one session at a time: more terminals than anybody looks at.
pub const ATTEND_CLIENTS: usize = 8;
/// Lines of what a session showed that whoever comes later is shown: some screens.
pub const ATTEND_HISTORY_LINES: usize = 500;
/// Bytes of such a line; the longest that agp shows is a fraction of it.
pub const ATTEND_LINE_BYTES: usize = 4096;
/// News for those who attend that wait for the thread that sends them; more lines are counted only.
pub const ATTEND_NEWS: usize = 2000;
/// Bytes of one message to those who attend: a frame's call, escaped once more, and a file of 1 MiB beside it.
pub const ATTEND_MESSAGE_BYTES: usize = 32 << 20;
/// Bytes that wait for one who attends and does not read; with more the connection is dropped.
pub const ATTEND_QUEUE_BYTES: usize = 2 * ATTEND_MESSAGE_BYTES;
/// Bytes of what one who attends says at once: an answer with its reason, escaped.
pub const ATTEND_ANSWER_BYTES: usize = 16 << 10;
/// Whoever connects to attend says so within this time.
pub const ATTEND_HELLO: Duration = Duration::from_secs(10);
/// Time to send the last news at the end of a session.
pub const ATTEND_FAREWELL: Duration = Duration::from_secs(1);
/// Rejected answers of one connection, which is dropped then.
pub const ATTEND_STRIKES: u32 = 8;
/// Rejected answers that are journaled in a session; more are counted only, or whoever connects could fill the disk.
pub const ATTEND_REJECTIONS: u32 = 1000;
/// Processes above one who attends that are looked at; with more nobody knows whose it is.
pub const ATTEND_ANCESTORS: usize = 128;
/// How often `agp attend` looks for sessions that began.
pub const ATTEND_LOOK: Duration = Duration::from_secs(1);

const _: () = assert!(REASON_BYTES * 6 < ATTEND_ANSWER_BYTES);
const _: () = assert!(ATTEND_MESSAGE_BYTES > FRAME_BYTES * 6);

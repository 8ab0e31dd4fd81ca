//! The Slack channel: a person with a phone decides, and only the right person, once, for exactly
//! this call.
//!
//! [`Slack::start`] proves the tokens before a session begins, and opens the connection where no other session of
//! the home has it (`app_lock`). From then on three threads own all that is Slack's: `slack-socket` hears clicks
//! (`socket_mode`) and has them judged (`approvals`, `request`), `slack-relay` hands them to the sessions that they
//! are of (`relay`), `slack-post` says everything (`post_thread`, `post_queue`). A call worker waits on a channel of
//! its own.
//!
//! A card is posted without buttons, its entry in the outbox is made durable, and only then it gets them:
//! whoever is killed in between leaves a card that can do nothing.

mod app_lock;
mod approvals;
mod authorization;
mod block_name;
mod blocks;
mod card;
mod config;
mod envelope;
mod forms;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod hub;
mod mirrored;
mod mrkdwn_escape;
mod notice;
mod outbox;
mod post_queue;
mod post_thread;
mod redacted;
mod rejections;
mod relay;
mod relay_line;
mod remembered;
mod request;
pub mod self_test;
mod socket_mode;
mod tls;
mod web_api;
mod websocket;

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Instant, SystemTime};

use ring::rand::{SecureRandom, SystemRandom};

use crate::confine::{self, Places, Profile};
use crate::contracts::approver::Approver;
use crate::contracts::channel::{Answer, Channel, Unreachable};
use crate::contracts::event::{Draft, Kind};
use crate::contracts::lock::locked;
use crate::contracts::plural::count;
use crate::contracts::question::{Asking, Question};
use crate::contracts::{limits, timestamp};

use app_lock::{AppLock, Proved, Standing};
use approvals::Approvals;
use authorization::Authority;
use block_name::BlockName;
pub use blocks::About;
use card::Drawing;
pub use config::{Mention, Settings, SetupError, Token, UncheckedConfig};
use hub::Hub;
use outbox::Keeper;
pub use outbox::{Outbox, OutboxEntry};
use post_queue::{Job, Post};
use post_thread::Poster;
pub use redacted::Redact;
use redacted::RedactedView;
pub use rejections::{Reason, Rejection};
pub use relay::SOCKET;
use relay::{Relay, Sockets, Way};
use request::{Ended, NewRequest};
use socket_mode::{Dial, DialError, Receiver};
use tls::Tls;
use web_api::{Identity, WebApi};
use websocket::OpenSocket;

/// The port of `https` and `wss`.
const HTTPS: u16 = 443;
/// The port of names, for answers that are too long for UDP.
const DNS: u16 = 53;

/// What the channel needs of the session around it.
pub struct Around {
    /// What messages say about the session.
    pub about: About,
    /// What the home is called on cards, so that no other home with the same app changes them: letters and digits.
    pub home: String,
    /// `outbox.json`.
    pub outbox: PathBuf,
    /// The directory of the home's leases: private, for the lock and the sessions' sockets.
    pub sessions: PathBuf,
    /// Root certificates instead of the bundled ones.
    pub roots: Option<PathBuf>,
    /// Whether a session of this name still runs.
    pub is_live: Box<dyn Fn(&str) -> bool + Send>,
    /// Redacts token-shaped text in arguments.
    pub redact: Redact,
    /// Records a rejected click.
    pub rejected: Box<dyn Fn(&Rejection) + Send + Sync>,
    /// Tells the operator what is not as it should be.
    pub warn: Box<dyn Fn(&str) + Send + Sync>,
}

/// Asks in Slack.
pub struct Slack {
    hub: Arc<Hub>,
    approvals: Arc<Approvals>,
    about: About,
    mention: Mention,
    home: String,
    redact: Redact,
    waker: UnixStream,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Slack {
    /// Proves tokens and connection, and starts the threads. Where another session of the home has the connection,
    /// it proves what needs none.
    ///
    /// # Errors
    /// [`SetupError`] when a token is wrong, Slack cannot be reached, or no connection comes about.
    pub fn start(settings: &Settings, around: Around) -> Result<Self, SetupError> {
        let tls = Tls::new(around.roots.as_deref())?;
        let api = WebApi::new(settings, &tls);
        let failed = |error: &web_api::ApiError| SetupError::new(error.to_string(), error.mend());
        let identity = api.auth_test().map_err(|error| failed(&error))?;
        self_test::one_workspace(&identity)?;
        self_test::scopes(&identity)?;
        self_test::people(&api, settings, &identity)?;
        let dial = Dial {
            api: api.clone(),
            tls: tls.for_socket()?,
        };
        let mut lock = self_test::lock(&around.sessions, settings)?;
        let (first, proved) = proved(&mut lock, &dial, &identity)?;
        let outbox = Outbox::at(around.outbox);
        let left_behind = outbox.left_behind(&around.about.origin.session, &*around.is_live);
        let left_behind = left_behind.map_err(|error| {
            let mend = match error.kind() {
                std::io::ErrorKind::WouldBlock => "end the other agp, or let it go on",
                _ => "move outbox.json aside",
            };
            SetupError::new(format!("outbox.json: {error}"), mend)
        })?;

        let (jobs, inbox) = sync_channel(limits::SLACK_JOBS);
        let hub = Arc::new(Hub {
            session: around.about.origin.session.clone(),
            post: Post::new(jobs),
            warn: around.warn,
            rejected: around.rejected,
            rejections: AtomicU32::new(0),
            malformed: AtomicU64::new(0),
            not_taken: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
        });
        if let Some(first) = &first {
            hub.count_connections(first, 1);
        }
        let approvals = Arc::new(Approvals::new(Authority {
            team: identity.team,
            own_user: identity.user,
            app: proved.app,
            channel: settings.channel.clone(),
            home: around.home.clone(),
            approvers: settings.approvers.clone(),
            required: settings.required,
        }));
        let system = |error: std::io::Error| SetupError::new(error.to_string(), "try again");
        let reach = reach(settings, proved.port);
        let poster = Poster {
            api,
            hub: Arc::clone(&hub),
            approvals: Arc::clone(&approvals),
            outbox: Keeper::start(outbox, around.is_live).map_err(system)?,
            channel: settings.channel.clone(),
            session: around.about.origin.session.clone(),
            jobs: inbox,
        };
        let (wake, waker) = wakers().map_err(system)?;
        let (relay_wake, relay_waker) = wakers().map_err(system)?;
        let (orders, ordered) = sync_channel(limits::RELAY_CLICKS);
        let (news, answers) = channel();
        let sockets = Sockets::of(&around.sessions).map_err(system)?;
        let relay = Relay {
            lock,
            holds: first.is_some(),
            listener: sockets
                .listen(&around.about.origin.session)
                .map_err(system)?,
            sockets,
            session: around.about.origin.session.clone(),
            hub: Arc::clone(&hub),
            approvals: Arc::clone(&approvals),
            orders: ordered,
            wake: relay_wake,
            news,
            waker: waker.try_clone().map_err(system)?,
        };
        let receiver = Receiver {
            dial,
            hub: Arc::clone(&hub),
            approvals: Arc::clone(&approvals),
            wake,
            waker: waker.try_clone().map_err(system)?,
            relay: Way::new(orders, relay_waker),
            news: answers,
        };
        for entry in left_behind {
            hub.post.send(Job::LeftBehind(entry));
        }
        let slack = Self {
            hub,
            approvals,
            about: around.about,
            mention: settings.mention,
            home: around.home,
            redact: around.redact,
            waker,
            threads: Mutex::default(),
        };
        // Whatever fails from here on, dropping it ends what has begun.
        slack.spawn(Profile::SlackPost, reach.clone(), move || poster.run())?;
        slack.spawn(Profile::SlackSocket, reach, move || receiver.run(first))?;
        slack.spawn(Profile::SlackRelay, Places::none(), move || relay.run())?;
        Ok(slack)
    }

    fn spawn(
        &self,
        profile: Profile,
        reach: Places,
        run: impl FnOnce() + Send + 'static,
    ) -> Result<(), SetupError> {
        let thread = confine::start(profile, reach, run);
        let thread = thread.map_err(|error| SetupError::new(error.to_string(), "try again"))?;
        let mut threads = locked(&self.threads);
        threads.push(thread);
        Ok(())
    }

    /// How many people a request needs: what the rule says, or else the configuration. Where there are not as
    /// many, what the request is answered.
    fn required(&self, asking: &Asking) -> Result<usize, Unreachable> {
        let authority = self.approvals.authority();
        let of_rule = asking
            .terms
            .required
            .and_then(|people| usize::try_from(people).ok());
        let required = of_rule.unwrap_or(authority.required);
        let people = self.people(asking);
        if let Some(why) = asking.not_for(&people) {
            return Err(Unreachable(why));
        }
        let there = people.len();
        if required > there {
            return Err(Unreachable(format!(
                "the rule needs {}, but slack.approvers lists {there}",
                count(required, "approval")
            )));
        }
        Ok(required)
    }

    /// Who may approve: `slack.approvers`, and whom the rules list besides.
    fn people(&self, asking: &Asking) -> Vec<Approver> {
        let approvers = self.approvals.authority().approvers.iter();
        let lists = asking.approvers.iter().flat_map(|list| &list.people);
        let listed = lists.filter(|person| matches!(person, Approver::Slack(_)));
        let approvers = approvers.cloned().map(Approver::Slack);
        let mut people: Vec<Approver> = approvers.chain(listed.cloned()).collect();
        people.sort_unstable();
        people.dedup();
        people
    }

    /// Whom a request rings for: whom the rules list, where they list somebody.
    fn mentions(&self, asking: &Asking) -> String {
        let lists = &asking.approvers;
        let people = self.people(asking);
        let rung = people.iter().filter_map(|person| match person {
            Approver::Slack(user)
                if lists.is_empty() || lists.iter().any(|list| list.has(person)) =>
            {
                Some(user.as_str())
            }
            _ => None,
        });
        self.mention.markup(rung)
    }
}

/// What is proved of the app, with the first connection where this session has it.
fn proved(
    lock: &mut AppLock,
    dial: &Dial,
    identity: &Identity,
) -> Result<(Option<OpenSocket>, Proved), SetupError> {
    let standing = lock.stand().map_err(|error| self_test::unlocked(&error))?;
    let mut first = match standing {
        Standing::StandsBy(proved) => {
            // What a handshake's random key is taken from is opened here: the thread that dials opens nothing.
            let _ = tungstenite::handshake::client::generate_key();
            self_test::one_app(&dial.api, identity, &proved.app)?;
            return Ok((None, proved));
        }
        Standing::Unproved => {
            let problem = "another session of this home does not get a connection to Slack";
            return Err(SetupError::new(problem, "run `agp doctor --check slack`"));
        }
        Standing::Holds => open_first(dial)?,
    };
    if let Err(error) = self_test::one_app(&dial.api, identity, &first.app) {
        first.leave();
        return Err(error);
    }
    let proved = Proved {
        app: first.app.clone(),
        port: first.port(),
    };
    lock.prove(&proved)
        .map_err(|error| self_test::unlocked(&error))?;
    Ok((Some(first), proved))
}

/// Wakes a thread, and is read by it; neither end blocks.
fn wakers() -> std::io::Result<(UnixStream, UnixStream)> {
    let (wake, waker) = UnixStream::pair()?;
    wake.set_nonblocking(true)?;
    waker.set_nonblocking(true)?;
    Ok((wake, waker))
}

/// What its threads may reach: the names of hosts, the ports that Slack was found on, and TCP's port
/// for names.
fn reach(settings: &Settings, found: Option<u16>) -> Places {
    let mut reach = Places::none().names().port(HTTPS).port(DNS);
    for port in settings.api.port().into_iter().chain(found) {
        reach = reach.port(port);
    }
    reach
}

fn open_first(dial: &Dial) -> Result<OpenSocket, SetupError> {
    let link = dial.open().map_err(|error| match error {
        DialError::Final(error) => SetupError::new(error.to_string(), error.mend()),
        DialError::Passing(why, _) => SetupError::new(
            format!("no Socket Mode connection: {why}"),
            "run `agp doctor --check slack`",
        ),
    })?;
    if link.app.is_empty() {
        let problem = "Slack did not say which app the connection belongs to";
        return Err(SetupError::new(problem, "run `agp doctor --check slack`"));
    }
    Ok(link)
}

impl Channel for Slack {
    fn name(&self) -> &'static str {
        "slack"
    }

    fn team(&self) -> Option<&str> {
        Some(&self.approvals.authority().team)
    }

    fn show(&self, question: &Arc<Question>) -> Result<(), Unreachable> {
        let asking = question.asking();
        let required = self.required(asking)?;
        let (Some(nonce), Some(block)) = (nonce(), nonce()) else {
            return Err(Unreachable("the system provides no random numbers".into()));
        };
        let RedactedView { view, redacted } = RedactedView::of(&asking.view, self.redact);
        let drawing = Drawing {
            asking,
            view: &view,
            redacted,
            about: &self.about,
            required,
            mentions: &self.mentions(asking),
        };
        let block = BlockName {
            home: &self.home,
            session: &self.about.origin.session,
        }
        .with(&block);
        let card = drawing.card(&nonce, &block);
        let left = question.left();
        let until = SystemTime::now() + left.min(asking.deadline);
        let text = card.text.until(until);
        self.approvals.open(NewRequest {
            nonce: nonce.clone(),
            block,
            question: Arc::clone(question),
            modal: card.modal,
            blocks: card.blocks,
            body: card.body,
            text: card.text,
            partial: card.partial,
            offers: card.offers,
            required,
        })?;
        let job = Job::Card {
            nonce: nonce.clone(),
            text,
            blocks: card.inert,
            until: Instant::now() + left,
        };
        if !self.hub.post.send(job) {
            let why = "too many messages are waiting for Slack";
            drop(self.approvals.failed(&nonce, why.into()));
        }
        Ok(())
    }

    fn over(&self, question: &Question, _answer: &Answer) {
        if let Some(open) = self.approvals.expire(question) {
            self.hub.judge_late(&self.approvals, &open.early);
        }
    }

    fn mirrors(&self, kind: Kind) -> bool {
        matches!(
            kind,
            Kind::ApprovalGranted
                | Kind::ApprovalDenied
                | Kind::ApprovalTimeout
                | Kind::SessionStarted
                | Kind::SessionEnded
                | Kind::ToolCallDeny
                | Kind::GateBypassed
                | Kind::GateAnomaly
        )
    }

    fn mirror(&self, events: Vec<Draft>) {
        events.iter().for_each(|event| self.mirrored(event));
    }

    fn hang_up(&self) {
        let early = self.approvals.hang_up(&Ended::SessionOver);
        self.hub.judge_late(&self.approvals, &early);
    }

    fn farewell(&self) {
        self.hang_up();
        // From here on a message that gets its name late is marked by the thread that posts.
        if self.hub.stopping.swap(true, Ordering::AcqRel) {
            return;
        }
        for edit in self.approvals.left_over() {
            self.hub.post.send(Job::last(edit));
        }
        // Where there is no room for it the thread is awake, and sees the flag.
        self.hub
            .post
            .send(Job::Stop(Instant::now() + limits::SLACK_LAST_WORDS));
        wake(&self.waker);
        let threads = std::mem::take(&mut *locked(&self.threads));
        for thread in threads {
            let _ = thread.join();
        }
    }
}

impl Drop for Slack {
    fn drop(&mut self) {
        self.farewell();
    }
}

/// 128 bits of chance.
fn nonce() -> Option<String> {
    let mut bytes = [0_u8; 16];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(data_encoding::HEXLOWER.encode(&bytes))
}

/// A name that nothing depends on but that it is another one each time.
fn random_id() -> String {
    nonce().unwrap_or_else(|| timestamp::rfc3339(SystemTime::now()))
}

/// Has the socket's thread look around.
fn wake(mut waker: &UnixStream) {
    // When it is full, the thread is awake already.
    let _ = waker.write(&[1]);
}

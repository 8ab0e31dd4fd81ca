//! The Engine API, as much of it as a session needs: which daemon answers, and typed calls whose
//! failures name the call and the daemon's own words.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::contracts::limits;

use super::error::{EngineError, EngineFault, NotLocal, refused};
use super::http::{self, HttpReply, HttpRequest};

/// Oldest version of the API that is spoken: that of Docker 20.10.
const OLDEST: (u32, u32) = (1, 41);
/// Newest version that is asked for: what it has was read, not guessed.
const NEWEST: (u32, u32) = (1, 51);

/// A daemon that answers, and the version of the API that is spoken with it.
#[derive(Debug, Clone)]
pub struct Engine {
    socket: PathBuf,
    api: String,
    server: String,
}

/// What of an image is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The digest by which the daemon knows it.
    pub id: String,
    /// Digests under which registries know it.
    pub digests: Vec<String>,
    /// Directories that it wants to be volumes.
    pub volumes: Vec<String>,
    /// `PATH` in its environment.
    pub path: Option<String>,
}

/// A container as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub id: String,
    /// Its labels.
    pub labels: Map<String, Value>,
}

impl Engine {
    /// Where the daemon listens: `DOCKER_HOST`, else Docker's own place.
    ///
    /// # Errors
    /// When `DOCKER_HOST` names no Unix socket.
    pub fn place(docker_host: Option<&str>) -> Result<PathBuf, NotLocal> {
        match docker_host.filter(|host| !host.is_empty()) {
            None => Ok(PathBuf::from("/var/run/docker.sock")),
            Some(host) => match host.strip_prefix("unix://") {
                Some(path) if path.starts_with('/') => Ok(PathBuf::from(path)),
                _ => Err(NotLocal(host.to_owned())),
            },
        }
    }

    /// Meets the daemon, and agrees on a version with it.
    ///
    /// # Errors
    /// [`EngineError`] when it does not answer, is too old, or is not Docker's.
    pub fn connect(socket: &Path) -> Result<Self, EngineError> {
        const CALL: &str = "connect to Docker";
        let unfit = |why: String| EngineError {
            call: CALL,
            socket: socket.to_owned(),
            fault: EngineFault::Unfit(why),
        };
        let request = HttpRequest {
            method: "GET",
            target: "/_ping",
            body: None,
            within: limits::DOCKER_PATIENCE,
        };
        let reply = http::ask(socket, &request).map_err(|error| EngineError {
            call: CALL,
            socket: socket.to_owned(),
            fault: EngineFault::Http(error),
        })?;
        let head = reply.head;
        let server = head.server.unwrap_or_default();
        if head.libpod.is_some() || server.starts_with("Libpod") {
            return Err(unfit(
                "this is Podman, which agp does not support yet. Use the Docker daemon".into(),
            ));
        }
        if head.status != 200 {
            return Err(unfit(format!("it answered a ping with {}", head.status)));
        }
        let theirs = head.api_version.as_deref().and_then(version);
        let Some(theirs) = theirs else {
            return Err(unfit("it reports no version: is it Docker?".into()));
        };
        if theirs < OLDEST {
            let ((major, minor), (old, oldest)) = (theirs, OLDEST);
            return Err(unfit(format!(
                "its API version is {major}.{minor}; agp needs {old}.{oldest} (Docker 20.10) or \
                    later"
            )));
        }
        let (major, minor) = theirs.min(NEWEST);
        Ok(Self {
            socket: socket.to_owned(),
            api: format!("{major}.{minor}"),
            server,
        })
    }

    /// The version of the API that is spoken.
    #[must_use]
    pub fn api(&self) -> &str {
        &self.api
    }

    /// What the daemon calls itself: `Docker/20.10.24 (linux)`.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Where it listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    fn failed(&self, call: &'static str, fault: EngineFault) -> EngineError {
        EngineError {
            call,
            socket: self.socket.clone(),
            fault,
        }
    }

    fn unfit(&self, call: &'static str, why: impl Into<String>) -> EngineError {
        self.failed(call, EngineFault::Unfit(why.into()))
    }

    /// Asks, and gives a reply that is no refusal.
    fn ask(
        &self,
        call: &'static str,
        (method, target): (&str, &str),
        body: Option<&Value>,
    ) -> Result<HttpReply, EngineError> {
        let text = body.map(Value::to_string);
        let request = HttpRequest {
            method,
            target: &format!("/v{}{target}", self.api),
            body: text.as_deref(),
            within: limits::DOCKER_PATIENCE,
        };
        let reply = http::ask(&self.socket, &request)
            .map_err(|error| self.failed(call, EngineFault::Http(error)))?;
        if (200..300).contains(&reply.head.status) || reply.head.status == 304 {
            return Ok(reply);
        }
        Err(self.failed(call, refused(&reply)))
    }

    fn json<T: for<'de> Deserialize<'de>>(
        &self,
        call: &'static str,
        reply: &HttpReply,
    ) -> Result<T, EngineError> {
        serde_json::from_slice(&reply.body).map_err(|error| {
            self.unfit(call, format!("unexpected answer from the daemon: {error}"))
        })
    }

    /// What the daemon says of its own security: `name=seccomp,profile=default`, `name=rootless`.
    ///
    /// # Errors
    /// [`EngineError`] when it does not say.
    pub fn security_options(&self) -> Result<Vec<String>, EngineError> {
        #[derive(Deserialize)]
        struct Info {
            #[serde(rename = "SecurityOptions")]
            options: Option<Vec<String>>,
        }
        const CALL: &str = "query the daemon's configuration";
        let reply = self.ask(CALL, ("GET", "/info"), None)?;
        let info: Info = self.json(CALL, &reply)?;
        Ok(info.options.unwrap_or_default())
    }

    /// Looks up an image that is there. Nothing is ever pulled.
    ///
    /// # Errors
    /// [`EngineError`]; its status is 404 when the image is not there.
    pub fn image(&self, reference: &str) -> Result<Image, EngineError> {
        const CALL: &str = "look up the image";
        let target = format!("/images/{}/json", escaped(reference));
        let reply = self.ask(CALL, ("GET", &target), None)?;
        let image: Value = self.json(CALL, &reply)?;
        let id = image.get("Id").and_then(Value::as_str).unwrap_or_default();
        if !is_digest(id) {
            return Err(self.unfit(CALL, "the daemon reports no digest for it"));
        }
        let digests = image.get("RepoDigests").and_then(Value::as_array);
        let digests = digests.into_iter().flatten().filter_map(Value::as_str);
        let config = image.get("Config");
        let volumes = config.and_then(|config| config.get("Volumes"));
        let volumes = volumes.and_then(Value::as_object);
        let environment = config.and_then(|config| config.get("Env"));
        let environment = environment.and_then(Value::as_array);
        let path = environment.into_iter().flatten().find_map(|entry| {
            let path = entry.as_str()?.strip_prefix("PATH=")?;
            Some(path.to_owned())
        });
        Ok(Image {
            id: id.to_owned(),
            digests: digests.map(str::to_owned).collect(),
            volumes: volumes
                .map(|all| all.keys().cloned().collect())
                .unwrap_or_default(),
            path,
        })
    }

    /// Creates a container; gives its id, and what the daemon warns of.
    ///
    /// # Errors
    /// [`EngineError`] when it is not created.
    pub fn create(&self, name: &str, body: &Value) -> Result<(String, Vec<String>), EngineError> {
        #[derive(Deserialize)]
        struct Created {
            #[serde(rename = "Id")]
            id: String,
            #[serde(rename = "Warnings")]
            warnings: Option<Vec<String>>,
        }
        const CALL: &str = "create the container";
        let target = format!("/containers/create?name={}", escaped(name));
        let reply = self.ask(CALL, ("POST", &target), Some(body))?;
        let created: Created = self.json(CALL, &reply)?;
        if !is_id(&created.id) {
            return Err(self.unfit(CALL, "the daemon reports no id for it"));
        }
        Ok((created.id, created.warnings.unwrap_or_default()))
    }

    /// Starts a container.
    ///
    /// # Errors
    /// [`EngineError`] when it does not start.
    pub fn start(&self, id: &str) -> Result<(), EngineError> {
        let target = format!("/containers/{id}/start");
        self.ask("start the container", ("POST", &target), None)
            .map(drop)
    }

    /// Everything that the daemon says of a container.
    ///
    /// # Errors
    /// [`EngineError`]; its status is 404 when there is none.
    pub fn inspect(&self, id: &str) -> Result<Value, EngineError> {
        const CALL: &str = "inspect the container";
        let target = format!("/containers/{id}/json");
        let reply = self.ask(CALL, ("GET", &target), None)?;
        let container: Value = self.json(CALL, &reply)?;
        if container.get("Id").and_then(Value::as_str) != Some(id) {
            return Err(self.unfit(CALL, "the daemon answered about another container"));
        }
        Ok(container)
    }

    /// Attaches to what a container's first process says. The stream ends with the container, or
    /// with the daemon.
    ///
    /// # Errors
    /// [`EngineError`] when there is no stream.
    pub fn attach(&self, id: &str) -> Result<Attached, EngineError> {
        const CALL: &str = "attach to the container";
        let request = HttpRequest {
            method: "POST",
            target: &format!(
                "/v{}/containers/{id}/attach?stream=1&stdout=1&stderr=1",
                self.api
            ),
            body: None,
            within: limits::DOCKER_PATIENCE,
        };
        let answered = http::hijack(&self.socket, &request)
            .map_err(|error| self.failed(CALL, EngineFault::Http(error)))?;
        match answered {
            Ok(hijacked) => Ok(Attached {
                begun: io::Cursor::new(hijacked.begun),
                stream: hijacked.stream,
            }),
            Err(reply) => Err(self.failed(CALL, refused(&reply))),
        }
    }

    /// Removes a container, running or not, with its anonymous volumes, and waits until it is gone.
    ///
    /// # Errors
    /// [`EngineError`] when it may still be there.
    pub fn remove(&self, id: &str) -> Result<(), EngineError> {
        const CALL: &str = "remove the container";
        let target = format!("/containers/{id}?force=1&v=1");
        match self.ask(CALL, ("DELETE", &target), None) {
            Ok(_) => return Ok(()),
            Err(error) if error.status() == Some(404) => return Ok(()),
            // Its removal is under way already: it is removed by itself when it ends.
            Err(error) if error.status() == Some(409) => {}
            Err(error) => return Err(error),
        }
        for _ in 0..REMOVAL_LOOKS {
            match self.inspect(id) {
                Err(error) if error.status() == Some(404) => return Ok(()),
                _ => std::thread::sleep(REMOVAL_LOOK),
            }
        }
        Err(self.unfit(CALL, "the removal does not finish"))
    }

    /// The containers, ended ones too, that have a label with this value.
    ///
    /// # Errors
    /// [`EngineError`] when they cannot be listed.
    pub fn labelled(&self, label: &str, value: &str) -> Result<Vec<Listed>, EngineError> {
        #[derive(Deserialize)]
        struct Found {
            #[serde(rename = "Id")]
            id: String,
            #[serde(rename = "Labels")]
            labels: Option<Map<String, Value>>,
        }
        const CALL: &str = "list containers";
        let filters = json!({"label": [format!("{label}={value}")]}).to_string();
        let target = format!("/containers/json?all=1&filters={}", escaped(&filters));
        let reply = self.ask(CALL, ("GET", &target), None)?;
        let listed: Vec<Found> = self.json(CALL, &reply)?;
        let ours = listed.into_iter().filter_map(|listed| {
            let labels = listed.labels.unwrap_or_default();
            // A daemon that does not know the filter gives all there are.
            let ours = labels.get(label).and_then(Value::as_str) == Some(value);
            (ours && is_id(&listed.id)).then_some(Listed {
                id: listed.id,
                labels,
            })
        });
        Ok(ours.collect())
    }
}

/// Looks at a container whose removal is under way: for five seconds.
const REMOVAL_LOOKS: u32 = 250;
const REMOVAL_LOOK: Duration = Duration::from_millis(20);

/// What a container's first process says, as the daemon frames it.
#[derive(Debug)]
pub struct Attached {
    begun: io::Cursor<Vec<u8>>,
    stream: UnixStream,
}

impl Attached {
    /// A second hold of the connection, to end it.
    ///
    /// # Errors
    /// What the kernel gives.
    pub fn connection(&self) -> io::Result<UnixStream> {
        self.stream.try_clone()
    }
}

impl Read for Attached {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.begun.read(buffer)? {
            0 => self.stream.read(buffer),
            got => Ok(got),
        }
    }
}

fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// `sha256:` and 64 hexadecimal digits.
#[must_use]
pub fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(is_id)
}

/// 64 hexadecimal digits: whatever else a daemon gives would become part of a path.
fn is_id(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Escapes everything but what may stand in a path or a value of a query as it is.
fn escaped(text: &str) -> String {
    use std::fmt::Write as _;
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z'
            | b'A'..=b'Z'
            | b'0'..=b'9'
            | b'-'
            | b'.'
            | b'_'
            | b'~'
            | b'/'
            | b':'
            | b'@' => escaped.push(char::from(byte)),
            _ => {
                let _ = write!(escaped, "%{byte:02X}");
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_daemon_is_on_this_machine() {
        assert_eq!(Engine::place(None), Ok("/var/run/docker.sock".into()));
        assert_eq!(
            Engine::place(Some("unix:///run/d.sock")),
            Ok("/run/d.sock".into())
        );
        for elsewhere in [
            "tcp://127.0.0.1:2375",
            "ssh://host",
            "unix://d.sock",
            "/run/d.sock",
        ] {
            assert!(Engine::place(Some(elsewhere)).is_err(), "{elsewhere}");
        }
    }

    #[test]
    fn nothing_breaks_out_of_a_path() {
        assert_eq!(escaped("a/b:1@sha256:0"), "a/b:1@sha256:0");
        assert_eq!(escaped("a?b#c d\r\n%"), "a%3Fb%23c%20d%0D%0A%25");
        assert!(!is_id("../../../etc"));
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert!(version("1.9") < version("1.41"));
        assert_eq!(version("1.x"), None);
    }
}

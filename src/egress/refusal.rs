//! Why a connection is not carried: the codes of the journal, and what the client is told.

use std::net::IpAddr;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $status:literal, $told:literal;)*) => {
        /// Why a connection is not carried.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum Reason { $($(#[$doc])* $name,)* }

        /// What a code of the journal means, for whoever reads it.
        #[must_use]
        pub fn explained(code: &str) -> Option<&'static str> {
            match code { $($code => Some($told),)* _ => None }
        }

        impl Reason {
            /// The code in the journal.
            #[must_use]
            pub(crate) fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The HTTP status that answers it, while HTTP is still spoken.
            #[must_use]
            pub(crate) fn status(self) -> &'static str {
                match self { $(Self::$name => $status,)* }
            }

            /// What the client, and the operator, are told.
            #[must_use]
            pub(crate) fn told(self) -> &'static str {
                match self { $(Self::$name => $told,)* }
            }
        }
    };
}

reasons! {
    /// The request is no CONNECT.
    NotConnect = "not-connect", "405 Method Not Allowed", "plain HTTP is not allowed: use https";
    /// The request is no HTTP.
    Malformed = "head-malformed", "400 Bad Request", "not an HTTP request";
    /// The request's head does not end.
    TooLong = "head-too-long", "431 Request Header Fields Too Large", "the request is too long";
    /// The request did not come in time.
    Late = "head-late", "408 Request Timeout", "the request did not come in time";
    /// What is asked for is no host and port.
    NoTarget = "target-malformed", "400 Bad Request", "CONNECT takes HOST:PORT";
    /// The host is not on the list, or not at this port.
    NotListed = "not-listed", "403 Forbidden", "this host is not allowed (--egress-allow)";
    /// The session's policy denies it.
    Policy = "policy", "403 Forbidden", "the policy does not allow this host";
    /// An address is asked for that is not on the list.
    AddressNotListed = "address-not-listed", "403 Forbidden", "this address is not allowed: use a host name (--egress-allow)";
    /// The name has no address, or none was had in time.
    NotResolved = "not-resolved", "502 Bad Gateway", "cannot resolve the name";
    /// The name leads to where the public Internet is not.
    NotPublic = "address-not-public", "403 Forbidden", "the name resolves to a private address, which is not allowed";
    /// What came through the tunnel is not TLS.
    NotTls = "not-tls", "403 Forbidden", "only TLS is allowed";
    /// The client does not say whom it means.
    NoName = "no-server-name", "403 Forbidden", "the TLS handshake has no server name";
    /// The client means another host than it asked for.
    OtherName = "other-server-name", "403 Forbidden", "the TLS server name differs from the requested host";
    /// The client's first message does not end.
    HelloTooLong = "hello-too-long", "403 Forbidden", "the TLS client hello is too long";
    /// The client's first message did not come in time.
    HelloLate = "hello-late", "408 Request Timeout", "the TLS handshake did not come in time";
    /// The client left before it had said what it wants.
    Left = "client-left", "400 Bad Request", "the connection ended too early";
    /// As many connections as may be are open.
    Busy = "too-many-connections", "503 Service Unavailable", "too many connections are open";
    /// The session has had all its connections.
    Exhausted = "session-limit", "503 Service Unavailable", "this session has used all its connections";
    /// The client runs as another user.
    OtherUser = "other-user", "403 Forbidden", "this proxy belongs to another user";
    /// The session is over.
    Over = "session-over", "503 Service Unavailable", "the session has ended";
}

/// A connection that is not carried, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Why.
    pub(crate) reason: Reason,
    /// The host that was asked for.
    pub(crate) host: Option<String>,
    /// Its port.
    pub(crate) port: Option<u16>,
    /// The address that it leads to.
    pub(crate) address: Option<IpAddr>,
    /// The server that the TLS handshake named instead.
    pub(crate) server_name: Option<String>,
}

impl Refusal {
    /// A refusal of which nothing more is known.
    #[must_use]
    pub(crate) fn of(reason: Reason) -> Self {
        Self {
            reason,
            host: None,
            port: None,
            address: None,
            server_name: None,
        }
    }

    /// The answer to the client, while HTTP is still spoken.
    #[must_use]
    pub(crate) fn answer(&self) -> String {
        let text = format!("agp: egress denied: {}\n", self.reason.told());
        format!(
            "HTTP/1.1 {}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
            self.reason.status(),
            text.len()
        )
    }
}

//! The settings that `-o NAME=VALUE` can set: the names of ssh_config(5), and what each of them means here.

use crate::line::args::{Args, about};
use crate::line::values::{self, Value, Wins};
use keywire::error::{Error, Result};

/// One name of ssh_config(5).
pub(crate) struct Name {
    name: &'static str,
    means: Means,
}

/// What a setting comes to.
enum Means {
    /// It is acted on.
    Sets(fn(&mut Args, &Value<'_>, Wins) -> Result<()>),
    /// Whatever its value is, it cannot matter here.
    Nothing,
    /// Only a value that asks for nothing is taken.
    Only(Only),
}

/// The values of a setting that ask for nothing; and, about any other, what keywire does not have and what to do instead.
pub(crate) struct Only {
    pub(crate) values: &'static [&'static str],
    pub(crate) why: &'static str,
    pub(crate) instead: &'static str,
}

impl Only {
    /// Refuses a value that asks for something.
    pub(crate) fn check(&self, value: &Value<'_>) -> Result<()> {
        let word = value.one().unwrap_or_default();
        match self.values.iter().any(|known| known.eq_ignore_ascii_case(word)) {
            true => Ok(()),
            false => Err(Error::usage(self.why).hint(self.instead)),
        }
    }
}

/// Takes one `-o` line: `NAME=VALUE` or `NAME VALUE`, with blanks around, as in a configuration file.
pub(crate) fn take_line(args: &mut Args, line: &str) -> Result<()> {
    let line = line.trim();
    let ends = |c: char| c == '=' || c.is_ascii_whitespace();
    let (name, rest) = line.split_at(line.find(ends).unwrap_or(line.len()));
    let whole = rest.trim_start();
    let whole = whole.strip_prefix('=').unwrap_or(whole).trim_start();
    if name.is_empty() && whole.is_empty() || name.starts_with('#') {
        return Ok(());
    }
    if find(name).is_none() {
        if args.ignore_unknown.as_deref().is_some_and(|patterns| is_listed(name, patterns)) {
            return Ok(());
        }
        return Err(Error::usage(format!("-o: unknown name '{}'", name.escape_debug()))
            .hint("kw-pty(1) lists the names of ssh_config(5); -o IgnoreUnknown=NAME before it lets another pass"));
    }
    let taken = Value::split(whole).and_then(|value| match value.words.is_empty() {
        true => Err(Error::usage("the value is missing")),
        false => take(args, name, &value, Wins::First),
    });
    taken.map_err(|error| about(&format!("-o {name}"), &error))
}

/// Gives a setting a value.
pub(crate) fn take(args: &mut Args, name: &str, value: &Value<'_>, wins: Wins) -> Result<()> {
    match find(name).map(|name| &name.means) {
        Some(Means::Sets(set)) => set(args, value, wins),
        Some(Means::Nothing) => Ok(()),
        Some(Means::Only(only)) => only.check(value),
        None => Err(Error::usage(format!("there is no setting '{name}'"))),
    }
}

/// Whether a value of a setting is taken, and changes nothing.
pub(crate) fn is_ignored(name: &str, value: &str) -> bool {
    match find(name).map(|name| &name.means) {
        Some(Means::Nothing) => true,
        Some(Means::Only(only)) => only.check(&Value::word(value)).is_ok(),
        _ => false,
    }
}

fn find(name: &str) -> Option<&'static Name> {
    let groups = [ACTED_ON, IGNORED, REFUSED, OBSOLETE];
    groups.into_iter().flatten().find(|known| known.name.eq_ignore_ascii_case(name))
}

/// Kinds of names, as the manual lists them.
#[cfg(test)]
#[derive(Clone, Copy, Debug)]
pub(crate) enum Group {
    ActedOn,
    Refused,
    Ignored,
    Obsolete,
}

/// The names of one kind.
#[cfg(test)]
pub(crate) fn in_group(group: Group) -> impl Iterator<Item = &'static str> {
    let names = match group {
        Group::ActedOn => ACTED_ON,
        Group::Refused => REFUSED,
        Group::Ignored => IGNORED,
        Group::Obsolete => OBSOLETE,
    };
    names.iter().map(|name| name.name)
}

/// Whether a list of patterns, as in ssh_config(5), covers `name`: `*` and `?` in any case, `!` takes out.
fn is_listed(name: &str, patterns: &str) -> bool {
    let mut listed = false;
    for pattern in patterns.split(',').map(str::trim) {
        match pattern.strip_prefix('!') {
            Some(pattern) if matches(pattern.as_bytes(), name.as_bytes()) => return false,
            Some(_) => {}
            None => listed |= matches(pattern.as_bytes(), name.as_bytes()),
        }
    }
    listed
}

fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (Some((b'*', rest)), _) => (0..=text.len()).any(|at| matches(rest, text.get(at..).unwrap_or_default())),
        (Some((b'?', pattern)), Some((_, text))) => matches(pattern, text),
        (Some((one, pattern)), Some((other, text))) => one.eq_ignore_ascii_case(other) && matches(pattern, text),
        (None, None) => true,
        _ => false,
    }
}

const fn sets(name: &'static str, set: fn(&mut Args, &Value<'_>, Wins) -> Result<()>) -> Name {
    Name { name, means: Means::Sets(set) }
}

const fn nothing(name: &'static str) -> Name {
    Name { name, means: Means::Nothing }
}

const fn only(name: &'static str, values: &'static [&'static str], why: &'static str, instead: &'static str) -> Name {
    Name { name, means: Means::Only(Only { values, why, instead }) }
}

/// Settings that are acted on.
const ACTED_ON: &[Name] = &[
    sets("AddressFamily", |args, value, wins| wins.put(&mut args.family, values::family(value.one()?))),
    sets("BatchMode", |args, value, wins| wins.put(&mut args.batch, values::flag(value.one()?))),
    sets("ConnectTimeout", |args, value, wins| wins.put(&mut args.connect_timeout, values::time_or_none(value.one()?))),
    sets("EscapeChar", |args, value, wins| wins.put(&mut args.escape, values::escape(value.one()?))),
    sets("ForkAfterAuthentication", |args, value, wins| wins.put(&mut args.background, values::flag(value.one()?))),
    sets("HostName", |args, value, wins| wins.put(&mut args.host_name, Ok(value.one()?.to_owned()))),
    sets("IdentityFile", |args, value, wins| wins.put(&mut args.identity, values::identity(value.one()?))),
    sets("IgnoreUnknown", |args, value, wins| wins.put(&mut args.ignore_unknown, Ok(value.words.join(",")))),
    sets("LogLevel", |args, value, wins| wins.put(&mut args.log, values::level(value.one()?))),
    sets("ObscureKeystrokeTiming", |args, value, wins| {
        wins.put(&mut args.hide_timing, values::hide_timing(value.one()?))
    }),
    sets("Port", |args, value, wins| wins.put(&mut args.port, values::port(value.one()?))),
    sets("RemoteCommand", |args, value, wins| {
        let command = if value.whole.eq_ignore_ascii_case("none") { "" } else { value.whole };
        wins.put(&mut args.remote_command, Ok(command.to_owned()))
    }),
    sets("RequestTTY", |args, value, wins| wins.put(&mut args.tty, values::tty(value.one()?))),
    sets("ServerAliveInterval", |args, value, wins| wins.put(&mut args.keepalive, values::time_or_none(value.one()?))),
    sets("SessionType", |args, value, wins| wins.put(&mut args.session, values::session(value.one()?))),
    sets("SetEnv", |args, value, wins| wins.put(&mut args.env, values::variables(&value.words))),
    sets("StdinNull", |args, value, wins| wins.put(&mut args.stdin_null, values::flag(value.one()?))),
    sets("User", |args, value, wins| wins.put(&mut args.user, Ok(value.one()?.to_owned()))),
];

const NO_FORWARDS: &str = "kw-pty forwards no ports yet";
const FORWARD_INSTEAD: &str = "kw-pipe(1) carries a TCP port: kw-pipe listen --tcp there, kw-pipe dial --tcp here";
const NO_X11: &str = "keywire does not forward X11";
const X11_INSTEAD: &str = "leave it out, or ask for nothing: -x";
const NO_AGENT: &str = "keywire has no agent, and forwards none";
const AGENT_INSTEAD: &str = "leave it out, or ask for nothing: -a";
const NO_PROXY: &str = "kw-pty dials the host itself, and through nothing else";
const PROXY_INSTEAD: &str =
    "run kw-pty on the host between, or let kw-pipe(1) carry the port; mosh needs --experimental-remote-ip=local";
pub(crate) const NO_MASTER: &str = "keywire shares no connection between programs yet";
pub(crate) const MASTER_INSTEAD: &str = "leave it out: each kw-pty dials for itself, in two round trips";
const NO_CONFIG: &str = "keywire has no configuration file with sections";
const CONFIG_INSTEAD: &str = "give hosts names in the address book: kw-peers(1)";
const NO_BINDING: &str = "kw-pty lets the system choose the address that it dials from";
const BINDING_INSTEAD: &str = "leave it out, or change the route to the host";
const NO_TUNNEL: &str = "keywire has no tunnel device";
const NO_LOCAL_COMMAND: &str = "kw-pty runs no command on this side";
const NO_CHANNELS: &str = "a connection has one session, and it ends with that";
const NO_CANONICAL: &str = "kw-pty dials the name that it was given";

/// [`Only`] for a tunnel, which has a letter of its own too.
pub(crate) const TUNNEL: Only = Only { values: &["no", "false"], why: NO_TUNNEL, instead: FORWARD_INSTEAD };
/// [`Only`] for forwarding standard input and output, which has no name.
pub(crate) const STDIO_FORWARD: Only = Only { values: &[], why: NO_FORWARDS, instead: FORWARD_INSTEAD };
/// [`Only`] for the socket of a master. The name ControlPath alone asks for nothing.
pub(crate) const MASTER_SOCKET: Only = Only { values: &["none"], why: NO_MASTER, instead: MASTER_INSTEAD };

/// Settings of which only a value that asks for nothing is taken.
const REFUSED: &[Name] = &[
    only("BindAddress", &[], NO_BINDING, BINDING_INSTEAD),
    only("BindInterface", &[], NO_BINDING, BINDING_INSTEAD),
    only("CanonicalizeHostname", &["no", "false", "none"], NO_CANONICAL, "write the whole name"),
    only("ChannelTimeout", &["none"], NO_CHANNELS, "leave it out; timeout(1) ends a command"),
    only("ControlMaster", &["no", "false", "auto"], NO_MASTER, MASTER_INSTEAD),
    only("DynamicForward", &["none"], NO_FORWARDS, FORWARD_INSTEAD),
    only("ForwardAgent", &["no", "false"], NO_AGENT, AGENT_INSTEAD),
    only("ForwardX11", &["no", "false"], NO_X11, X11_INSTEAD),
    only("GatewayPorts", &["no", "false"], NO_FORWARDS, FORWARD_INSTEAD),
    only("GSSAPIDelegateCredentials", &["no", "false"], NO_AGENT, "leave it out, or ask for nothing: -k"),
    only("Host", &[], NO_CONFIG, CONFIG_INSTEAD),
    only("Include", &[], NO_CONFIG, CONFIG_INSTEAD),
    only("LocalForward", &["none"], NO_FORWARDS, FORWARD_INSTEAD),
    only("Match", &[], NO_CONFIG, CONFIG_INSTEAD),
    only("PermitLocalCommand", &["no", "false"], NO_LOCAL_COMMAND, "run it before kw-pty, or after it"),
    only("PKCS11Provider", &["none"], "keywire keeps keys in files", "make one: kw-keygen new"),
    only("ProxyCommand", &["none"], NO_PROXY, PROXY_INSTEAD),
    only("ProxyJump", &["none"], NO_PROXY, PROXY_INSTEAD),
    only("RefuseConnection", &[], NO_CONFIG, CONFIG_INSTEAD),
    only("RemoteForward", &["none"], NO_FORWARDS, FORWARD_INSTEAD),
    only("Tag", &["none"], NO_CONFIG, CONFIG_INSTEAD),
    Name { name: "Tunnel", means: Means::Only(TUNNEL) },
];

/// Settings that cannot matter: the key that is dialed decides who is there and how it is proven, there is one suite of
/// ciphers, nothing is forwarded, and the host has a list of variables that it takes.
const IGNORED: &[Name] = &[
    nothing("AddKeysToAgent"),
    nothing("CanonicalDomains"),
    nothing("CanonicalizeFallbackLocal"),
    nothing("CanonicalizeMaxDots"),
    nothing("CanonicalizePermittedCNAMEs"),
    nothing("CASignatureAlgorithms"),
    nothing("CertificateFile"),
    nothing("CheckHostIP"),
    nothing("Ciphers"),
    nothing("ClearAllForwardings"),
    nothing("Compression"),
    nothing("ConnectionAttempts"),
    nothing("ControlPath"),
    nothing("ControlPersist"),
    nothing("EnableEscapeCommandline"),
    nothing("EnableSSHKeysign"),
    nothing("ExitOnForwardFailure"),
    nothing("FingerprintHash"),
    nothing("ForwardX11Timeout"),
    nothing("ForwardX11Trusted"),
    nothing("GlobalKnownHostsFile"),
    nothing("GSSAPIAuthentication"),
    nothing("GSSAPIClientIdentity"),
    nothing("GSSAPIKexAlgorithms"),
    nothing("GSSAPIKeyExchange"),
    nothing("GSSAPIRenewalForcesRekey"),
    nothing("GSSAPIServerIdentity"),
    nothing("GSSAPITrustDns"),
    nothing("HashKnownHosts"),
    nothing("HostbasedAcceptedAlgorithms"),
    nothing("HostbasedAuthentication"),
    nothing("HostKeyAlgorithms"),
    nothing("HostKeyAlias"),
    nothing("IdentitiesOnly"),
    nothing("IdentityAgent"),
    nothing("IPQoS"),
    nothing("KbdInteractiveAuthentication"),
    nothing("KbdInteractiveDevices"),
    nothing("KexAlgorithms"),
    nothing("KnownHostsCommand"),
    nothing("LocalCommand"),
    nothing("LogVerbose"),
    nothing("MACs"),
    nothing("NoHostAuthenticationForLocalhost"),
    nothing("NumberOfPasswordPrompts"),
    nothing("PasswordAuthentication"),
    nothing("PermitRemoteOpen"),
    nothing("PreferredAuthentications"),
    nothing("ProxyUseFdpass"),
    nothing("PubkeyAcceptedAlgorithms"),
    nothing("PubkeyAuthentication"),
    nothing("RekeyLimit"),
    nothing("RequiredRSASize"),
    nothing("RevokedHostKeys"),
    nothing("SecurityKeyProvider"),
    nothing("SendEnv"),
    nothing("ServerAliveCountMax"),
    nothing("StreamLocalBindMask"),
    nothing("StreamLocalBindUnlink"),
    nothing("StrictHostKeyChecking"),
    nothing("SyslogFacility"),
    nothing("TCPKeepAlive"),
    nothing("TunnelDevice"),
    nothing("UpdateHostKeys"),
    nothing("UserKnownHostsFile"),
    nothing("VerifyHostKeyDNS"),
    nothing("VersionAddendum"),
    nothing("VisualHostKey"),
    nothing("WarnWeakCrypto"),
    nothing("XAuthLocation"),
];

/// Names that ssh itself only knows from earlier versions.
const OBSOLETE: &[Name] = &[
    nothing("AFSTokenPassing"),
    nothing("ChallengeResponseAuthentication"),
    nothing("Cipher"),
    nothing("CompressionLevel"),
    nothing("DSAAuthentication"),
    nothing("FallBackToRsh"),
    nothing("GlobalKnownHostsFile2"),
    nothing("HostbasedKeyTypes"),
    sets("IdentityFile2", |args, value, wins| take(args, "IdentityFile", value, wins)),
    nothing("KeepAlive"),
    nothing("KerberosAuthentication"),
    nothing("KerberosTGTPassing"),
    nothing("Protocol"),
    nothing("PubkeyAcceptedKeyTypes"),
    nothing("RhostsAuthentication"),
    nothing("RhostsRSAAuthentication"),
    nothing("RSAAuthentication"),
    nothing("SkeyAuthentication"),
    only("SmartcardDevice", &["none"], "keywire keeps keys in files", "make one: kw-keygen new"),
    nothing("TISAuthentication"),
    nothing("UsePrivilegedPort"),
    nothing("UserKnownHostsFile2"),
    nothing("UseRoaming"),
    nothing("UseRsh"),
];

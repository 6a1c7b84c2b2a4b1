//! One dialer, from its request to its end.

use super::child::{Command, Job};
use super::copy;
use super::environment::{Account, environment};
use super::session::{self, Cut, Ended, Traffic};
use super::{Event, Keeper, What};
use crate::conn::{Incoming, Reason, Receiver, Sender};
use crate::error::{Error, Kind, Result};
use crate::key::PublicKey;
use crate::proto::copy::Way;
use crate::proto::pty::{Op, Request};
use crate::trust::{Grant, Right, Rule};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;

/// The shortest and the longest that is waited for a rule to expire before the clock is looked at again: it may have been set,
/// and where the rules cannot be read an end that has come is looked at again and again.
const LOOK_AT_CLOCK: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];

/// What all sessions of a host share.
pub(super) struct Host {
    pub(super) account: Account,
    pub(super) keeper: Arc<dyn Keeper>,
    /// Becomes true when the host ends.
    pub(super) stopped: watch::Receiver<bool>,
    /// Changes when rights may have changed.
    pub(super) changed: watch::Receiver<()>,
}

/// What lets a dialer in.
struct Admission {
    grant: Grant,
    /// The rights that the session lives by; it ends when one of them is gone.
    rights: Vec<Right>,
    /// The program of a subsystem.
    program: Option<Vec<OsString>>,
}

/// Why a dialer is turned away.
struct Refusal {
    reason: Reason,
    /// For the log here.
    why: String,
    /// For the dialer, where that is less: a stranger is not told what is wrong here.
    told: Option<&'static str>,
}

impl Refusal {
    fn new(reason: Reason, why: impl Into<String>) -> Self {
        Refusal { reason, why: why.into(), told: None }
    }

    /// By what the allowlist said, or because it cannot be read.
    fn of(error: Error) -> Self {
        match error.kind() {
            Kind::Refused => Refusal::new(Reason::Refused, error.to_string()),
            _ => Refusal {
                told: Some("the host cannot read its allowlist"),
                ..Refusal::new(Reason::Unavailable, error.to_string())
            },
        }
    }
}

/// Serves one dialer.
pub(super) async fn attend(incoming: Incoming, host: Arc<Host>) {
    let (peer, from) = (incoming.peer(), incoming.from());
    let note = |request, what| host.keeper.note(&Event { peer, from, request, what });
    let asked = Request::decode(incoming.request());
    let admitted = match &asked {
        Ok(request) => host.admit(&peer, request),
        Err(error) => Err(host.misunderstood(&peer, error)),
    };
    let (mut request, admission) = match (asked, admitted) {
        (Ok(request), Ok(admission)) => (request, admission),
        (asked, Err(refusal)) => {
            note(asked.as_ref().ok(), What::Refused(&refusal.why));
            // It may be gone before it knows why.
            let _ = incoming.refuse(refusal.reason, refusal.told.unwrap_or(&refusal.why)).await;
            return;
        }
        (Err(_), Ok(_)) => return,
    };
    let connection = match incoming.authorize(&admission.grant) {
        Ok(connection) => connection,
        Err(error) => return note(Some(&request), What::Refused(&error.to_string())),
    };
    let began = SystemTime::now();
    if let Some(copy) = request.copy {
        note(Some(&request), What::Began);
        let cut = host.cut(&peer, &admission);
        let (asked, ended, traffic) = copy::serve(connection, copy, admission.grant.rule(), &host.account, cut).await;
        let request = Request { command: Some(asked), ..request.clone() };
        return note(Some(&request), What::Ended(began, traffic, &ended));
    }
    let connected = connection.description();
    let (mut sender, mut receiver) = connection.split();
    let mut cut = std::pin::pin!(host.cut(&peer, &admission));
    let line = match request.command_length {
        None => Ok(request.command.clone().map(String::into_bytes)),
        Some(length) => tokio::select! {
            line = session::command_line(&mut sender, &mut receiver, length) => line.map(Some).map_err(Cut::Nonsense),
            why = &mut cut => Err(why),
        },
    };
    let (ended, traffic) = match line {
        Err(why) => (why.tell(sender, receiver).await, Traffic::default()),
        Ok(line) => {
            // For the books; what runs is the line itself.
            request.command = line.as_ref().map(|line| String::from_utf8_lossy(line).into_owned());
            note(Some(&request), What::Began);
            let about = [("KEYWIRE_PEER", peer.to_string().into()), ("KEYWIRE_CONNECTION", connected.into())];
            let job = admission.job(&request, line);
            run(job, &request, about.into(), &host.account, sender, receiver, cut).await
        }
    };
    note(Some(&request), What::Ended(began, traffic, &ended));
}

/// What a session runs, and what was asked for where that is something else.
type Work = (Option<Job>, Option<OsString>);

/// Runs a session's work, until it is done or `cut` says so.
async fn run(
    (job, original): Work,
    request: &Request,
    mut about: Vec<(&str, OsString)>,
    account: &Account,
    sender: Sender,
    receiver: Receiver,
    cut: impl Future<Output = Cut>,
) -> (Ended, Traffic) {
    let Some(job) = job else {
        return (session::hold(sender, receiver, cut).await, Traffic::default());
    };
    about.extend(original.map(|line| ("KEYWIRE_ORIGINAL_COMMAND", line)));
    let term = request.tty.as_ref().map(|tty| tty.term.as_str());
    let env = environment(account, &request.env, term, &about);
    match Command::start(account, job, request.tty.as_ref(), &env) {
        Ok(command) => session::serve(command, sender, receiver, request.window(), cut).await,
        Err(exit) => (session::conclude(sender, receiver, exit, cut).await, Traffic::default()),
    }
}

impl Admission {
    /// What runs when `request` asked for `line`; no job is one that only keeps the connection.
    fn job(&self, request: &Request, line: Option<Vec<u8>>) -> Work {
        match (&self.grant.rule().command, &self.program, line) {
            (Some(forced), _, line) => (Some(Job::Line(forced.clone().into_bytes())), line.map(OsString::from_vec)),
            (None, Some(program), _) => (Some(Job::Program(program.clone())), None),
            (None, None, Some(line)) => (Some(Job::Line(line)), None),
            (None, None, None) => ((request.op != Op::None).then_some(Job::Shell), None),
        }
    }
}

impl Host {
    /// Decides whether `peer` gets what it asks for.
    fn admit(&self, peer: &PublicKey, request: &Request) -> std::result::Result<Admission, Refusal> {
        let with = |right| {
            let grant = self.keeper.grant(peer, right)?;
            if grant.rule().command.is_some() && right != Right::Exec {
                // A forced command is one, whatever is asked for.
                let grant = self.keeper.grant(peer, Right::Exec)?;
                return Ok(Admission { grant, rights: vec![Right::Exec], program: None });
            }
            Ok(Admission { grant, rights: vec![right], program: None })
        };
        let admitted = match (request.op, &request.command) {
            (Op::Copy, _) => return self.admit_to_copy(peer, request).map_err(Refusal::of),
            (Op::Subsystem, Some(name)) => self.admit_to_subsystem(peer, name)?,
            (Op::Exec, _) => with(Right::Exec),
            (Op::None, _) => with(Right::Forward),
            (Op::Shell | Op::Subsystem, _) => with(Right::Shell),
        };
        let admitted = admitted.or_else(|error| {
            with(Right::Exec).ok().filter(|admission| admission.grant.rule().command.is_some()).ok_or(error)
        });
        admitted.map_err(Refusal::of)
    }

    /// The same for a copy, in the direction that it has.
    fn admit_to_copy(&self, peer: &PublicKey, request: &Request) -> Result<Admission> {
        let right = match request.copy.map(|copy| copy.way) {
            Some(Way::ToHost) => Right::CopyWrite,
            _ => Right::CopyRead,
        };
        let grant = self.keeper.grant(peer, right)?;
        if grant.rule().command.is_some() {
            return Err(Error::refused("its rule on the allowlist is for one command only"));
        }
        Ok(Admission { grant, rights: vec![right], program: None })
    }

    /// The same for a subsystem: files are for those who may copy in at least one direction.
    fn admit_to_subsystem(&self, peer: &PublicKey, name: &str) -> std::result::Result<Result<Admission>, Refusal> {
        let copies = [Right::CopyRead, Right::CopyWrite];
        let grant = match copies.map(|right| self.keeper.grant(peer, right)) {
            [Ok(grant), _] | [_, Ok(grant)] => grant,
            [Err(error), _] => return Ok(Err(error)),
        };
        if grant.rule().command.is_some() {
            let grant = self.keeper.grant(peer, Right::Exec);
            return Ok(grant.map(|grant| Admission { grant, rights: vec![Right::Exec], program: None }));
        }
        let rights = copies.into_iter().filter(|right| grant.rule().gives(*right)).collect();
        match self.keeper.subsystem(name, &grant) {
            Some(program) => Ok(Ok(Admission { grant, rights, program: Some(program) })),
            None => {
                let why = format!("there is no subsystem '{}' here", name.escape_debug());
                Err(Refusal::new(Reason::Unavailable, why))
            }
        }
    }

    /// What a dialer is told whose request makes no sense: whoever has no business here is told that, whatever it says.
    fn misunderstood(&self, peer: &PublicKey, error: &Error) -> Refusal {
        match self.keeper.grant(peer, Right::Exec) {
            Err(refused) if refused.kind() == Kind::Refused => Refusal::new(Reason::Refused, refused.to_string()),
            _ => Refusal::new(Reason::BadRequest, error.to_string()),
        }
    }

    /// Waits until the host ends, or what lets `peer` in is gone.
    async fn cut(&self, peer: &PublicKey, admission: &Admission) -> Cut {
        let Admission { grant, rights, .. } = admission;
        let (mut stopped, mut changed) = (self.stopped.clone(), self.changed.clone());
        let mut expires = grant.rule().expires;
        loop {
            let [least, most] = LOOK_AT_CLOCK;
            let left = expires.map(|expires| expires.left(SystemTime::now()).clamp(least, most));
            tokio::select! {
                // An error means that whoever could say stop is gone: that is one.
                _ = stopped.wait_for(|stopped| *stopped) => return Cut::Stopped,
                changed = changed.changed() => {
                    if changed.is_err() {
                        return Cut::Stopped;
                    }
                }
                () = tokio::time::sleep(left.unwrap_or_default()), if left.is_some() => {}
            }
            match self.upholds(peer, grant, rights) {
                Ok(Some(rule)) => expires = rule.expires,
                Ok(None) => {}
                Err(why) => return Cut::Revoked(format!("it is no longer allowed: {why}")),
            }
        }
    }

    /// Whether `peer` still has `rights`, within the limits under which it was let in, and by which rule. Where that cannot be
    /// told, it has: a slip in the allowlist keeps others out, but does not cut off whoever is there to mend it.
    fn upholds(&self, peer: &PublicKey, grant: &Grant, rights: &[Right]) -> std::result::Result<Option<Rule>, String> {
        let mut rule = None;
        for right in rights {
            match self.keeper.grant(peer, *right) {
                Ok(now) if now.rule().command != grant.rule().command || now.rule().root != grant.rule().root => {
                    return Err("its rule on the allowlist has changed".to_owned());
                }
                Ok(now) => rule = Some(now.rule().clone()),
                Err(error) if error.kind() == Kind::Refused => return Err(error.to_string()),
                Err(_) => {}
            }
        }
        Ok(rule)
    }
}

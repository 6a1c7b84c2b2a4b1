//! kw-ptyd: gives the keys on the allowlist a shell on this machine, as the user it runs as.

mod args;

use args::{Allowed, Args};
use keywire::addr::HostPort;
use keywire::cli;
use keywire::conn::{Limits, ListenOptions, Listener};
use keywire::error::{Error, Result};
use keywire::host::{self, Account, Ended, Event, Keeper, What};
use keywire::key::PublicKey;
use keywire::proto::pty::{Exit, Op, PTY};
use keywire::store::Store;
use keywire::term::sanitize_line;
use keywire::trust::{Allowlist, Grant, Peers, Right};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

const NAME: &str = "kw-ptyd";

fn main() -> ExitCode {
    cli::main(NAME, run)
}

fn run(args: Args) -> Result<ExitCode> {
    let me = Arc::new(cli::identity(args.identity.as_deref(), args.passphrase_file.as_deref())?);
    if args.max_startups == 0 {
        return Err(Error::usage("--max-startups 0 would let nobody in"));
    }
    let account = Account::own()?;
    let door = Door::new(&args.allow)?;
    let options = ListenOptions {
        limits: Limits { startups: args.max_startups, limit_loopback: args.limit_loopback, ..Limits::default() },
        keepalive: Duration::from_secs(args.keepalive),
        allow_self: args.allow_self,
        ..ListenOptions::default()
    };
    let at: HostPort = args.listen.parse()?;
    cli::block_on_all(async {
        let listener = Listener::bind(me, &at, PTY, options).await?;
        let stop = cli::asked_to_end()?;
        cli::print(&format!("listening {}\n", listener.address()?))?;
        host::serve(listener, account, Arc::new(door), stop).await
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Decides by the allowlist, and by what the command line adds to it; logs to standard error.
struct Door {
    store: Store,
    also: Allowlist,
}

impl Door {
    fn new(allowed: &[Allowed]) -> Result<Self> {
        let store = Store::home()?;
        let peers = Peers::load(&store)?;
        let mut also = Allowlist::default();
        for one in allowed {
            let key = peers.resolve_key(&one.who)?;
            also.rule_mut(key).rights.extend(&one.rights);
        }
        Ok(Door { store, also })
    }
}

impl Keeper for Door {
    fn grant(&self, key: &PublicKey, right: Right) -> Result<Grant> {
        let now = SystemTime::now();
        self.also.grant(key, right, now).or_else(|_| Allowlist::load(&self.store)?.grant(key, right, now))
    }

    fn note(&self, event: &Event<'_>) {
        let name = Peers::load(&self.store).ok().and_then(|peers| peers.name_of(&event.peer).map(str::to_owned));
        let who = name.unwrap_or_else(|| event.peer.to_string());
        let what = match &event.what {
            What::Refused(why) => format!("refused: {}", sanitize_line(why)),
            What::Began(request) => match (&request.op, &request.command) {
                (Op::Exec, Some(command)) => format!("began: {}", sanitize_line(command)),
                _ => "began: a shell".to_owned(),
            },
            What::Ended(Ended::Command(Exit::Status(status))) => format!("ended with status {status}"),
            What::Ended(Ended::Command(Exit::Signal(signal))) => format!("ended by the signal {signal}"),
            What::Ended(Ended::Command(Exit::NotStarted(_, why))) => format!("could not be started: {why}"),
            What::Ended(Ended::Disconnected(why)) => format!("hung up: {}", sanitize_line(why)),
            What::Ended(Ended::Stopped) => "hung up: the host is ending".to_owned(),
        };
        cli::say(&format!("{NAME}: {who} from {}: {what}", event.from));
    }
}

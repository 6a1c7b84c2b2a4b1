//! kw-ptyd: gives the keys on the allowlist a shell on this machine, as the user it runs as.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

mod args;
mod audit;
mod door;

use args::Args;
use door::Door;
use keywire::addr::HostPort;
use keywire::cli;
use keywire::conn::{Limits, ListenOptions, Listener};
use keywire::error::{Error, Result};
use keywire::host::{self, Account};
use keywire::proto::pty::PTY;
use keywire::unit::Service;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

const NAME: &str = "kw-ptyd";

const SERVICE: Service = Service {
    name: NAME,
    description: "keywire host: shell, commands and files for the keys on the allowlist",
    page: "kw-ptyd(8)",
    settings: "\
# The host ends first and tells its sessions; what they leave is ended after that.
KillMode=mixed
TimeoutStopSec=15
# A session that takes all memory takes nobody with it.
OOMPolicy=continue

# Sessions inherit what follows. With it nothing in a session becomes another user: sudo and su do not work. Where they
# must, take out NoNewPrivileges and the lines below it, each of which implies it.",
};

fn main() -> ExitCode {
    cli::main(NAME, run)
}

fn run(args: Args) -> Result<ExitCode> {
    if args.print_unit {
        cli::print(&SERVICE.unit(std::env::args().skip(1))?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(server) = args.sftp()? {
        return server.serve_standard_streams().map(|()| ExitCode::SUCCESS);
    }
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

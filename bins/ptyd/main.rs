//! kw-ptyd: gives the keys on the allowlist a shell on this machine, as the user it runs as.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

mod args;
mod audit;
mod door;
mod unit;

use args::Args;
use door::Door;
use keywire::addr::HostPort;
use keywire::cli;
use keywire::conn::{Limits, ListenOptions, Listener};
use keywire::error::{Error, Result};
use keywire::host::{self, Account};
use keywire::proto::pty::PTY;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

const NAME: &str = "kw-ptyd";

fn main() -> ExitCode {
    cli::main(NAME, run)
}

fn run(args: Args) -> Result<ExitCode> {
    if args.print_unit {
        cli::print(&unit::unit(std::env::args().skip(1))?)?;
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

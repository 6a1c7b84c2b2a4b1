//! kw-scp: copies files to, from and between hosts that have a key.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing))]

mod args;
mod dialer;
mod operand;
mod plan;
mod progress;
mod relay;
mod show;
mod signals;

use args::Args;
use dialer::{Dialer, Link};
use keywire::cli;
use keywire::conn::Reason;
use keywire::copy::{Event, Place, Selection, Target, receive, send};
use keywire::error::{Error, Kind, Result, reason};
use keywire::proto::copy::{Asked, Way};
use operand::Host;
use plan::{From, Plan, To, Transfer, request};
use show::Show;
use signals::Signals;
use std::process::ExitCode;

const NAME: &str = "kw-scp";

/// The status when standard output is the target and its reader went away: what a shell makes of SIGPIPE.
const CLOSED_OUTPUT: u8 = 141;

fn main() -> ExitCode {
    cli::main_of_files(NAME, run)
}

fn run(args: Args) -> Result<ExitCode> {
    let plan = Plan::new(&args)?;
    let dialer = Dialer::new(&args, plan.hosts())?;
    let signals = Signals::catch()?;
    let show = Show::new(&args, &plan);
    let mut copier = Copier { args: &args, dialer, signals, show };
    let mut status = 0;
    for transfer in &plan.transfers {
        copier.show.begin(transfer, &plan.to);
        let copied = copier.copy(transfer, &plan.to);
        if copier.signals.caught().is_some() {
            break;
        }
        if let Err(error) = copied {
            copier.show.report(&error);
            if error.kind() == Kind::ClosedOutput {
                status = CLOSED_OUTPUT;
                break;
            }
            status = status.max(error.kind().exit_status());
        }
    }
    if copier.show.has_failed() {
        status = status.max(Kind::No.exit_status());
    }
    let caught = copier.signals.caught();
    if caught.is_some() {
        copier.show.interrupted();
    }
    let said = copier.show.end();
    match caught {
        Some(signal) => Ok(signals::end_by(signal)),
        None => said.map(|()| ExitCode::from(status)),
    }
}

/// Copies as the command line says.
struct Copier<'a> {
    args: &'a Args,
    dialer: Dialer,
    signals: Signals,
    show: Show,
}

impl Copier<'_> {
    /// One transfer, on connections of its own.
    fn copy(&mut self, transfer: &Transfer, to: &To) -> Result<()> {
        let sources = &transfer.sources;
        match (&transfer.from, to) {
            (From::Host(from), To::Host(to, path)) => self.relay(from, sources, to, path),
            (From::Host(from), To::Here(path)) => self.download(from, sources, Some(path)),
            (From::Host(from), To::Stdout) => self.download(from, sources, None),
            (From::Here, To::Host(to, path)) => self.upload(sources, false, to, path),
            (From::Stdin, To::Host(to, path)) => self.upload(sources, true, to, path),
            (From::Here | From::Stdin, To::Here(_) | To::Stdout) => Err(Error::usage("neither side is on a host")),
        }
    }

    /// From here to a host.
    fn upload(&mut self, sources: &[Vec<u8>], stdin: bool, to: &Host, path: &[u8]) -> Result<()> {
        let wishes = request(self.args, Way::ToHost, self.show.wants_totals());
        let excludes = self.excludes();
        let selection = Selection { place: place()?, sources: sources.to_vec(), globs: false, excludes, stdin };
        let Link { out, incoming, breaker } = self.dialer.ask(to, wishes, &[Asked::Target(path)])?;
        // Whoever types the input would have to end it before anything else could happen, and nothing of it is kept.
        self.signals.arm((!stdin).then(|| breaker.clone()));
        let sent = send(&selection, &wishes, out, incoming, &mut |event| self.show.event(None, event));
        breaker.wait();
        self.signals.disarm();
        let sent = sent.map(|outcome| self.show.outcome(outcome));
        sent.map_err(|error| self.ended(Way::ToHost, to.named(error)))
    }

    /// From a host to a path here, or to standard output.
    fn download(&mut self, from: &Host, sources: &[Vec<u8>], path: Option<&[u8]>) -> Result<()> {
        let wishes = request(self.args, Way::FromHost, self.show.wants_totals());
        let place = place()?;
        let target = path.map_or(Target::Stdout, |path| Target::Path(&place, path));
        let excludes = self.excludes();
        let Link { out, incoming, breaker } = self.dialer.ask(from, wishes, &asked(sources, &excludes))?;
        // Whoever reads the output may have stopped, and nothing of it is kept.
        self.signals.arm(path.map(|_| breaker.clone()));
        let watch = &mut |event: Event<'_>| self.show.event(Some(&from.written), event);
        let received = receive(&target, Some(sources), &wishes, out, incoming, watch);
        breaker.wait();
        self.signals.disarm();
        let received = received.map(|outcome| self.show.outcome(outcome));
        received.map_err(|error| self.ended(Way::FromHost, error))
    }

    /// From one host to another.
    fn relay(&mut self, from: &Host, sources: &[Vec<u8>], to: &Host, path: &[u8]) -> Result<()> {
        let totals = self.show.wants_totals();
        let wishes = request(self.args, Way::FromHost, totals);
        let there = self.dialer.ask(to, request(self.args, Way::ToHost, totals), &[Asked::Target(path)])?;
        self.signals.arm([there.breaker.clone()]);
        let here = self.dialer.ask(from, wishes, &asked(sources, &self.excludes())).inspect_err(|_| {
            there.breaker.cut(Reason::ShuttingDown, "the other host of the copy cannot be reached");
            there.breaker.wait();
        });
        let relayed = here.and_then(|here| {
            self.signals.arm([here.breaker.clone()]);
            let watch = |event: Event<'_>| self.show.event(Some(&from.written), event);
            let relayed = relay::relay(here, there, sources, &wishes, watch);
            relayed.map_err(|(way, error)| self.ended(way, to.named(error)))
        });
        self.signals.disarm();
        relayed
    }

    /// Why a transfer ended too soon, and what its user can do about it.
    fn ended(&self, way: Way, error: Error) -> Error {
        let step = self.show.next_step().filter(|_| error.kind() == Kind::Network);
        let error = self.dialer.hinted(way, error);
        match step {
            Some(step) => error.hint(step),
            None => error,
        }
    }

    fn excludes(&self) -> Vec<Vec<u8>> {
        self.args.exclude.iter().map(|pattern| pattern.as_bytes().to_vec()).collect()
    }
}

/// What a host is asked to send.
fn asked<'a>(sources: &'a [Vec<u8>], excludes: &'a [Vec<u8>]) -> Vec<Asked<'a>> {
    let sources = sources.iter().map(|source| Asked::Source(source));
    sources.chain(excludes.iter().map(|pattern| Asked::Exclude(pattern))).collect()
}

/// All that this process can reach.
fn place() -> Result<Place> {
    Place::of_process()
        .map_err(|cause| Error::state(format!("the directory that we are in cannot be used: {}", reason(&cause))))
}

//! The commands that ask whoever holds the groups.

use crate::args::{
    Create, Export, History, Info, Invite, Join, Leave, List, Listen, Members, Own, Recv, Rename, Search, Send,
};
use crate::request::{Input, Receiving, Reply, Request, Sending, What};
use crate::show::{Form, Show};
use crate::{NAME, hook, house, link, serve};
use keywire::cli;
use keywire::error::{Error, Kind, Result};
use keywire::group::engine::{Begin, Terms};
use keywire::hook::Hook;
use keywire::proto::group::Link;
use keywire::store::Store;
use keywire::talk::{End, Said, exit, gone};
use keywire::text::{Source, hand_over_lines};
use keywire::trust::{Names, check_cursor, parse_past};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};
use tokio::sync::{mpsc, watch};

/// The last messages that are shown if nobody says how many.
const LAST: usize = 100;

/// How long an invite counts if nobody says it.
const A_WEEK: Duration = Duration::from_secs(7 * 86_400);

/// A command on a member.
pub(crate) struct OnMember {
    pub(crate) own: Own,
    pub(crate) what: What,
    pub(crate) group: String,
    pub(crate) member: String,
    pub(crate) is_json: bool,
}

pub(crate) fn create(args: &Create) -> Result<ExitCode> {
    let (name, mode, history) = (args.name.clone(), args.mode, args.history);
    link::warn_of(mode);
    let made = run(&args.own(), Request::Create { name, mode, history }, Form::of(args.json), drop)?;
    match &args.listen {
        Some(at) if made == ExitCode::SUCCESS => serve::serve(&args.own(), at, args.json).map(|()| made),
        _ => Ok(made),
    }
}

pub(crate) fn invite(args: Invite) -> Result<ExitCode> {
    let own = args.own();
    let makes = args.expires.is_some() || args.uses.is_some() || args.approve || args.qr;
    if [makes, args.list, args.revoke.is_some()].into_iter().filter(|is_given| *is_given).count() > 1 {
        return Err(Error::usage("--list and --revoke go with no other option than --json"));
    }
    let form = Form { draws: args.qr, ..Form::of(args.json) };
    if args.list {
        return run(&own, Request::Invites { group: args.group }, form, drop);
    }
    if let Some(capability) = args.revoke {
        return run(&own, Request::Revoke { group: args.group, capability }, form, drop);
    }
    let expires = args.expires.unwrap_or(A_WEEK).as_secs();
    let uses = args.uses.unwrap_or(1);
    if expires == 0 || uses == 0 {
        return Err(Error::usage("an invite counts for a second and once at least"));
    }
    let terms = Terms { expires, uses, approve: args.approve };
    run(&own, Request::Invite { group: args.group, terms }, form, drop)
}

pub(crate) fn join(args: Join) -> Result<ExitCode> {
    let own = args.own();
    let text = link::text(args.link.as_deref())?;
    let link: Link = text.parse()?;
    link::warn_of(link.genesis.mode);
    let request = Request::Join { link: text, name: args.name, wait: millis(args.wait) };
    run(&own, request, Form::of(args.json), drop)
}

pub(crate) fn send(args: Send) -> Result<ExitCode> {
    let own = args.own();
    let source = Source::of(args.text.as_deref())?;
    let sending = Sending { group: args.group, reply_to: args.reply_to, wait: millis(args.wait) };
    run(&own, Request::Send(sending), Form::of(args.json), |to| feed(source, &to))
}

pub(crate) fn recv(args: Recv) -> Result<ExitCode> {
    let own = args.own();
    let begin = match (args.since.as_deref(), &args.cursor) {
        (Some(since), _) => Begin::Time(time(since)?),
        (None, Some(_)) => Begin::Start,
        (None, None) if args.timeout.is_none() && !args.follow => {
            return Err(Error::usage("from where on is not said").hint(
                "--cursor NAME goes on where it was, --since says when; --timeout or --follow wait for what comes",
            ));
        }
        (None, None) => Begin::Now,
    };
    if let Some(name) = &args.cursor {
        check_cursor(name)?;
    }
    let form = Form { names_groups: args.group.is_none(), ..Form::of(args.json) };
    let request = Request::Receive(Receiving {
        group: args.group,
        from: Vec::new(),
        cursor: args.cursor,
        begin,
        max: args.max,
        wait: args.timeout.map(millis),
        follow: args.follow,
    });
    run(&own, request, form, drop)
}

pub(crate) fn listen(args: Listen) -> Result<ExitCode> {
    let own = args.own();
    let hook = args.exec.as_deref().map(Hook::new).transpose()?;
    let form = Form { names_groups: args.group.is_none(), ..Form::of(args.json) };
    let request = Request::Receive(Receiving {
        group: args.group,
        from: args.from,
        cursor: hook.is_some().then(|| hook::CURSOR.to_owned()),
        begin: Begin::Now,
        max: None,
        wait: None,
        follow: true,
    });
    let store = Store::home()?;
    let show = Show::with(&store, form)?;
    let ended = cli::block_on_all(async {
        let (stopping, stopped) = watch::channel(false);
        let stop = cli::asked_to_end()?;
        let talking = converse(&store, &own, request, show, hook, stopped, drop);
        let mut talking = std::pin::pin!(talking);
        tokio::select! {
            ended = &mut talking => ended,
            () = stop => {
                stopping.send_replace(true);
                talking.await
            }
        }
    });
    match ended {
        Err(error) if error.kind() == Kind::ClosedOutput => Ok(ExitCode::SUCCESS),
        ended => ended,
    }
}

pub(crate) fn history(args: History) -> Result<ExitCode> {
    let own = args.own();
    let since = args.since.as_deref().map(time).transpose()?;
    let most = args.count.or_else(|| since.is_none().then_some(LAST));
    run(&own, Request::Read { group: args.group, since, most }, Form::of(args.json), drop)
}

pub(crate) fn export(args: Export) -> Result<ExitCode> {
    let own = args.own();
    run(&own, Request::Read { group: args.group, since: None, most: None }, Form::of(true), drop)
}

pub(crate) fn search(args: Search) -> Result<ExitCode> {
    let own = args.own();
    run(&own, Request::Search { group: args.group, text: args.text }, Form::of(args.json), drop)
}

pub(crate) fn members(args: Members) -> Result<ExitCode> {
    let own = args.own();
    let form = Form { shows_members: true, ..Form::of(args.json) };
    run(&own, Request::Info { group: args.group }, form, drop)
}

pub(crate) fn act(args: OnMember) -> Result<ExitCode> {
    let OnMember { own, what, group, member, is_json } = args;
    run(&own, Request::Act { group, what, member }, Form::of(is_json), drop)
}

pub(crate) fn rename(args: Rename) -> Result<ExitCode> {
    let own = args.own();
    run(&own, Request::Rename { group: args.group, name: args.name }, Form::of(args.json), drop)
}

pub(crate) fn leave(args: Leave) -> Result<ExitCode> {
    let own = args.own();
    run(&own, Request::Leave { group: args.group }, Form::of(args.json), drop)
}

pub(crate) fn list(args: &List) -> Result<ExitCode> {
    run(&args.own(), Request::List, Form::of(args.json), drop)
}

pub(crate) fn info(args: Info) -> Result<ExitCode> {
    let own = args.own();
    run(&own, Request::Info { group: args.group }, Form::of(args.json), drop)
}

/// Asks, with what `feed` says meanwhile, and shows the answers.
fn run(
    own: &Own,
    request: Request,
    form: Form,
    feed: impl FnOnce(Feeder) + std::marker::Send + 'static,
) -> Result<ExitCode> {
    let store = Store::home()?;
    let show = Show::with(&store, form)?;
    // The house that a command may be for others has work for more than one thread.
    cli::block_on_all(async {
        let (_stopping, stopped) = watch::channel(false);
        converse(&store, own, request, show, None, stopped, feed).await
    })
}

async fn converse(
    store: &Store,
    own: &Own,
    request: Request,
    mut show: Show,
    hook: Option<Hook>,
    stopped: watch::Receiver<bool>,
    feed: impl FnOnce(Feeder) + std::marker::Send + 'static,
) -> Result<ExitCode> {
    let is_sending = matches!(request, Request::Send(_));
    let has_cursor = matches!(&request, Request::Receive(receiving) if receiving.cursor.is_some());
    let mut names = Names::load(store)?;
    let mut line = house::ask(store, own, request).await?;
    let (failed, failure) = std::sync::mpsc::channel();
    let feeder = Feeder { inputs: line.inputs.clone(), failed };
    // A thread of its own: nothing waits for standard input when everything else is done.
    let feeding = std::thread::Builder::new().spawn(move || feed(feeder));
    feeding.map_err(|cause| Error::state(format!("cannot start a thread: {cause}")))?;
    let mut end = None;
    while end.is_none() {
        let first = tokio::select! {
            said = line.replies.recv() => said,
            () = gone(stopped.clone()) => return Ok(ExitCode::SUCCESS),
        };
        let mut next = first;
        let mut count = 0;
        let Some(_) = &next else { break };
        while let Some(said) = next {
            match said {
                Said::Reply(reply) => {
                    show.reply(&reply)?;
                    if let Reply::Message { group, message, .. } = &reply {
                        if let Some(hook) = &hook {
                            show.flush()?;
                            if !hook::hand_over(hook, &mut names, group, message, &stopped).await {
                                return Ok(ExitCode::SUCCESS);
                            }
                        }
                        count += 1;
                    }
                }
                Said::End(last) => end = Some(last),
                Said::Alive => {}
            }
            // With a hook, each is done on its own.
            next = if hook.is_some() { None } else { line.replies.try_recv().ok() };
        }
        match show.flush() {
            // What is sent is sent, whether anybody reads on or not.
            Err(error) if is_sending && error.kind() == Kind::ClosedOutput => {}
            flushed => flushed?,
        }
        if has_cursor && count > 0 {
            // Who hears it no more has ended, and says so.
            let _ = line.inputs.send(Input::Printed(count)).await;
        }
    }
    show.end();
    let End { status, error } = end.ok_or_else(|| Error::state("the call ended without an answer"))?;
    // Who was refused has ended before all was read.
    let is_over = error.is_some();
    if let Some(problem) = error {
        cli::report(NAME, &problem.into());
    }
    // One that still reads is not wanted any more.
    let Ok(error) = failure.try_recv() else { return Ok(ExitCode::from(status)) };
    cli::report(NAME, &error);
    // Lines were left out: nobody who takes it for well that the others are kept must take this for it.
    Ok(ExitCode::from(if is_over { status } else { exit::of(error.kind()) }))
}

/// Where the texts of a command go.
struct Feeder {
    inputs: mpsc::Sender<Input>,
    failed: std::sync::mpsc::Sender<Error>,
}

/// Says the texts of `source`, and the end.
fn feed(source: Source, to: &Feeder) {
    let fed = match source {
        // Nobody hears it only if everything has ended.
        Source::Argument(text) => {
            let _ = to.inputs.blocking_send(Input::Text(text));
            Ok(())
        }
        Source::Stdin { may_be_empty } => {
            // If nobody wants more, what became of the rest is said elsewhere.
            let take = |text| to.inputs.blocking_send(Input::Text(text)).is_ok();
            hand_over_lines(std::io::stdin().lock(), take, may_be_empty)
        }
    };
    // Known before the end is said: whoever hears the answer to that looks whether there was an error.
    if let Err(error) = fed {
        let _ = to.failed.send(error);
    }
    let _ = to.inputs.blocking_send(Input::End);
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The time that `--since` says.
fn time(since: &str) -> Result<u64> {
    let past = parse_past(since, SystemTime::now())?;
    Ok(millis(past.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()))
}

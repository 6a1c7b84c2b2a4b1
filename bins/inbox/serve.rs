//! `serve` and `drop`: take deliveries, for ourselves and for others.

use crate::args::{Drop, Serve};
use crate::said::About;
use crate::show::{News, Show};
use crate::{drop_boxes, inbox};
use keywire::addr::HostPort;
use keywire::cli;
use keywire::conn::{ListenOptions, Listener};
use keywire::error::{Kind, Result};
use keywire::inbox::door::{Door, Event, Place};
use keywire::inbox::dropbox::DropBox;
use keywire::inbox::{Inbox, Outcome, Recipient};
use keywire::key::KeyPair;
use keywire::proto::inbox::INBOX;
use keywire::store::Store;
use keywire::talk::gone;
use keywire::threads::on_disk;
use keywire::unit::Service;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// How often drop boxes are looked into.
const LOOK_EVERY: Duration = Duration::from_secs(600);

/// How long the end may take: what is being opened is opened, and told. Somebody else who holds the lock of the inbox is not
/// waited for longer.
const END_WITHIN: Duration = Duration::from_secs(5);

const SERVE: Service = Service {
    name: "kw-inbox",
    description: "keywire inbox: takes first messages, and fetches those that wait",
    page: "kw-inbox(1)",
    settings: "TimeoutStopSec=15",
};

const DROP: Service = Service {
    name: "kw-inbox-drop",
    description: "keywire drop box: holds sealed messages for those it is for",
    page: "kw-inbox(1)",
    settings: "TimeoutStopSec=15",
};

pub(crate) fn serve(args: &Serve) -> Result<()> {
    if args.print_unit {
        return cli::print(&SERVE.unit(std::env::args().skip(1))?);
    }
    let (store, at) = (Store::home()?, place(&args.listen)?);
    let me = args.own().load()?;
    let inbox = inbox(&store)?;
    let show = Show::new(&store, args.json)?;
    let (tell, news) = unbounded_channel();
    let opened = tell.clone();
    let taker = Recipient::new(inbox.clone(), me.clone(), move |outcome| say(&opened, outcome.into()));
    let door = door(Place::Recipient(me.public(), Arc::new(taker)), tell.clone());
    cli::block_on_all(async {
        let listener = Listener::bind(me.clone(), &at, INBOX, ListenOptions::default()).await?;
        attend(door, listener, show, news, |ended| look_again_and_again(&inbox, &me, &store, &tell, ended)).await
    })
}

pub(crate) fn drop(args: &Drop) -> Result<()> {
    if args.print_unit {
        return cli::print(&DROP.unit(std::env::args().skip(1))?);
    }
    let (store, at) = (Store::home()?, place(&args.listen)?);
    let me = args.own().load()?;
    let show = Show::new(&store, args.json)?;
    let drop_box = Arc::new(DropBox::open(&store, SystemTime::now())?);
    let (tell, news) = unbounded_channel();
    for text in drop_box.notices() {
        say(&tell, News::Notice(text));
    }
    let door = door(Place::DropBox(drop_box, store), tell);
    cli::block_on_all(async {
        let listener = Listener::bind(me, &at, INBOX, ListenOptions::default()).await?;
        attend(door, listener, show, news, gone).await
    })
}

/// Where to listen; the port need not be said.
fn place(listen: &str) -> Result<HostPort> {
    let at: HostPort = listen.parse()?;
    Ok(match (at.port(), INBOX.port) {
        (None, Some(port)) => at.with_port(port),
        _ => at,
    })
}

fn door(place: Place, tell: UnboundedSender<News>) -> Door {
    let is_drop_box = matches!(place, Place::DropBox(..));
    Door::new(place, move |event| match event {
        // Ours is printed itself.
        Event::Delivered { recipient, id } if is_drop_box => say(&tell, News::Held(recipient, id)),
        Event::Delivered { .. } | Event::Fetched { messages: 0, .. } => {}
        Event::Fetched { owner, messages } => say(&tell, News::Fetched(owner, messages)),
        // The door does not tell the same again and again.
        Event::Trouble(text) => say(&tell, News::Notice(text)),
    })
}

/// Serves until this process is asked to end, or nobody reads what it prints. What is done `beside` it ends then as well.
async fn attend<B: Future<Output = ()>>(
    door: Door,
    listener: Listener,
    mut show: Show,
    mut news: UnboundedReceiver<News>,
    beside: impl FnOnce(watch::Receiver<bool>) -> B,
) -> Result<()> {
    let mut stop = pin!(cli::asked_to_end()?);
    show.listening(&listener.address()?.to_string())?;
    let (ending, ended) = watch::channel(false);
    let serving = async {
        let served = door.serve(listener, gone(ended.clone())).await;
        ending.send_replace(true);
        served
    };
    let mut working = pin!(async { tokio::join!(serving, beside(ended.clone())).0 });
    let (done, served) = loop {
        tokio::select! {
            () = &mut stop => break (Ok(()), None),
            served = &mut working => break (Ok(()), Some(served)),
            Some(one) = news.recv() => if let Err(error) = show.news(one) { break (Err(error), None) },
        }
    };
    ending.send_replace(true);
    let served = match served {
        Some(served) => served,
        None => timeout(END_WITHIN, working).await.unwrap_or(Ok(())),
    };
    while let (Ok(()), Ok(one)) = (&done, news.try_recv()) {
        show.news(one)?;
    }
    match done {
        Err(error) if error.kind() == Kind::ClosedOutput => served,
        done => done.and(served),
    }
}

/// Looks into drop boxes, and brings answers, now and from time to time, until it has `ended`. What was opened is told first.
async fn look_again_and_again(
    inbox: &Inbox,
    me: &Arc<KeyPair>,
    store: &Store,
    tell: &UnboundedSender<News>,
    ended: watch::Receiver<bool>,
) {
    let opened = |outcome: Outcome| {
        say(tell, outcome.into());
        Ok(())
    };
    // What is well again is told anew when it goes wrong again.
    let went = |about: About, went: Result<()>| match went {
        Ok(()) => say(tell, News::Well(about)),
        Err(error) => say(tell, News::Trouble(about, error)),
    };
    loop {
        let recovering = (inbox.clone(), me.clone());
        let recovered = on_disk(move || recovering.0.recover(&recovering.1)).await.map(|recovered| {
            recovered.into_iter().for_each(|(_, outcome)| say(tell, outcome.into()));
        });
        went(About::Inbox, recovered);
        let looking = (inbox.clone(), me.public(), store.clone());
        let found = tokio::select! {
            () = gone(ended.clone()) => return,
            found = on_disk(move || drop_boxes(&looking.0, looking.1, &looking.2)) => found,
        };
        let from = found.as_ref().map(Vec::as_slice).unwrap_or_default();
        for at in from {
            let fetched = inbox.fetch(me, at, opened, gone(ended.clone())).await;
            if *ended.borrow() {
                return;
            }
            went(About::DropBox(at.to_string()), fetched.map(|_| ()));
        }
        went(About::DropBoxes, found.map(|_| ()));
        let answers = tokio::select! {
            () = gone(ended.clone()) => return,
            answers = inbox.answer(me, None) => answers,
        };
        went(
            About::Answers,
            answers.map(|answers| {
                answers.into_iter().for_each(|(peer, went)| say(tell, News::Answered(peer, went)));
            }),
        );
        inbox.notices().into_iter().for_each(|text| say(tell, News::Notice(text)));
        tokio::select! {
            () = gone(ended.clone()) => return,
            () = sleep(LOOK_EVERY) => {}
        }
    }
}

/// Says `one` to whoever prints it; at the end nobody does.
fn say(tell: &UnboundedSender<News>, one: News) {
    let _ = tell.send(one);
}

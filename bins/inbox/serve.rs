//! `serve` and `drop`: take deliveries, for ourselves and for others.

use crate::args::{Drop, Serve};
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
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;

/// How often drop boxes are looked into.
const LOOK_EVERY: Duration = Duration::from_secs(600);

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
        attend(door, listener, show, news, look_again_and_again(&inbox, &me, &store, &tell)).await
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
        attend(door, listener, show, news, std::future::pending()).await
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
        Event::Trouble(text) => say(&tell, News::Notice(text)),
    })
}

/// Serves until this process is asked to end, or nobody reads what it prints.
async fn attend(
    door: Door,
    listener: Listener,
    mut show: Show,
    mut news: UnboundedReceiver<News>,
    beside: impl Future<Output = Infallible>,
) -> Result<()> {
    let mut stop = pin!(cli::asked_to_end()?);
    show.listening(&listener.address()?.to_string())?;
    let (ending, ended) = watch::channel(false);
    let mut serving = pin!(door.serve(listener, gone(ended)));
    let mut beside = pin!(beside);
    let done = loop {
        tokio::select! {
            () = &mut stop => break Ok(()),
            served = &mut serving => return served,
            never = &mut beside => match never {},
            Some(one) = news.recv() => if let Err(error) = show.news(one) { break Err(error) },
        }
    };
    ending.send_replace(true);
    let served = serving.await;
    while let (Ok(()), Ok(one)) = (&done, news.try_recv()) {
        show.news(one)?;
    }
    match done {
        Err(error) if error.kind() == Kind::ClosedOutput => served,
        done => done.and(served),
    }
}

/// Looks into drop boxes, and brings answers, now and from time to time.
async fn look_again_and_again(
    inbox: &Inbox,
    me: &Arc<KeyPair>,
    store: &Store,
    tell: &UnboundedSender<News>,
) -> Infallible {
    let opened = |outcome: Outcome| {
        say(tell, outcome.into());
        Ok(())
    };
    let trouble = |error| say(tell, News::Trouble(error));
    loop {
        let found = {
            let (inbox, me, store) = (inbox.clone(), me.clone(), store.clone());
            on_disk(move || Ok((inbox.recover(&me)?, drop_boxes(&inbox, me.public(), &store)?)))
        };
        match found.await {
            Ok((recovered, from)) => {
                recovered.into_iter().for_each(|(_, outcome)| say(tell, outcome.into()));
                for at in &from {
                    inbox.fetch(me, at, opened).await.map_or_else(trouble, |_| ());
                }
            }
            Err(error) => trouble(error),
        }
        match inbox.answer(me, None).await {
            Ok(answers) => answers.into_iter().for_each(|(peer, went)| say(tell, News::Answered(peer, went))),
            Err(error) => trouble(error),
        }
        inbox.notices().into_iter().for_each(|text| say(tell, News::Notice(text)));
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Says `one` to whoever prints it; at the end nobody does.
fn say(tell: &UnboundedSender<News>, one: News) {
    let _ = tell.send(one);
}

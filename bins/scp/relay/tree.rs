//! Where a sender is in the tree that it sends, and whether that is what it was asked for.

#[cfg(test)]
mod tests;

use keywire::copy::Tops;
use keywire::error::{Error, Result};
use keywire::proto::copy::{File, Form, FromSender, MAX_DEPTH, Request};
use keywire::root::{Kind, MAX_PATH_LEN};

/// Longest path of an item: what was named, and what is below it.
const MAX_ITEM_LEN: usize = 2 * MAX_PATH_LEN;

/// Follows what a sender says.
#[derive(Debug)]
pub(super) struct Tree<'a> {
    asked: &'a [Vec<u8>],
    wishes: Request,
    /// None before BEGIN; anew for the part that is copied if there is one that only asks.
    tops: Option<Tops<'a>>,
    count: u32,
    part: Part,
    /// The directory that was entered last, or what was named.
    path: Vec<u8>,
    /// How long the path was in front of each directory that was entered.
    above: Vec<usize>,
    /// A TOP came, and its item has not.
    is_named: bool,
    /// The file that has begun and not ended.
    file: Option<Begun>,
    has_total: bool,
    items: u64,
}

/// A file that goes on in pieces.
#[derive(Debug)]
struct Begun {
    /// Bytes that have come, those that were there already among them.
    seen: u64,
    /// Bytes that there can be.
    most: u64,
    /// So many there must be.
    exactly: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Asks,
    Copies,
    Over,
}

/// What a message means to whoever watches.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    /// Nothing that shows.
    Nothing,
    /// An item, of which so many bytes came with it or were there before.
    Item { path: Vec<u8>, kind: Kind, depth: usize, size: Option<u64>, moved: u64, goes_on: bool },
    /// More bytes of the file.
    Moved(u64),
    /// The file is whole, and has so many.
    Whole(u64),
    /// The file ends before its end.
    Abandoned,
    /// Something could not be read as it should be.
    Problem(&'a [u8], &'a str),
    /// So much there is in all.
    Total(u64, u64),
    /// That was all.
    End,
}

impl<'a> Tree<'a> {
    /// A sender that was asked for this, in this way.
    pub(super) fn new(asked: &'a [Vec<u8>], wishes: &Request) -> Self {
        Tree {
            asked,
            wishes: *wishes,
            tops: None,
            count: 0,
            part: if wishes.resume { Part::Asks } else { Part::Copies },
            path: Vec::new(),
            above: Vec::new(),
            is_named: false,
            file: None,
            has_total: false,
            items: 0,
        }
    }

    /// Whether END has come.
    pub(super) fn is_over(&self) -> bool {
        self.part == Part::Over
    }

    /// Takes the next message.
    ///
    /// # Errors
    /// It makes no sense here, or is nothing that was asked for.
    pub(super) fn take<'b>(&mut self, message: &FromSender<'b>) -> Result<Step<'b>> {
        match *message {
            _ if self.is_over() => Err(Error::protocol("a message after END")),
            FromSender::Problem(path, why) => Ok(Step::Problem(path, why)),
            FromSender::Total(..) if std::mem::replace(&mut self.has_total, true) => {
                Err(Error::protocol("a second TOTAL"))
            }
            FromSender::Total(files, bytes) => Ok(Step::Total(files, bytes)),
            _ if self.file.is_some() => self.piece(message),
            FromSender::Begin(count) if self.tops.is_none() => {
                self.count = count;
                self.tops = Some(Tops::new(Some(self.asked), count));
                Ok(Step::Nothing)
            }
            FromSender::Top(source, path) if self.is_between() => {
                let tops = self.tops.as_mut().ok_or_else(|| Error::protocol("a TOP before BEGIN"))?;
                tops.take(source, path)?;
                self.path = path.to_vec();
                self.is_named = true;
                Ok(Step::Nothing)
            }
            FromSender::Directory(_, name) if self.wishes.recursive => self.directory(name),
            FromSender::Directory(..) => Err(Error::protocol("a directory was not asked for")),
            FromSender::Leave => self.leave(),
            FromSender::Ask(_, name) if self.part == Part::Asks => self.item(name).map(|_| Step::Nothing),
            FromSender::Answered if self.part == Part::Asks && self.tops.is_some() && self.is_between() => {
                self.part = Part::Copies;
                self.tops = Some(Tops::new(Some(self.asked), self.count));
                Ok(Step::Nothing)
            }
            FromSender::File(file) if self.part == Part::Copies => self.file(&file),
            FromSender::Link(name, _) if self.part == Part::Copies && self.wishes.links => {
                let (path, depth) = self.item(name)?;
                self.items += 1;
                Ok(Step::Item { path, kind: Kind::Link, depth, size: None, moved: 0, goes_on: false })
            }
            FromSender::End(items)
                if self.part == Part::Copies && self.tops.is_some() && self.is_between() && items == self.items =>
            {
                self.part = Part::Over;
                Ok(Step::End)
            }
            _ => Err(Error::protocol("a message of the sender at the wrong place")),
        }
    }

    /// Whether a TOP, or the end, may come.
    fn is_between(&self) -> bool {
        self.above.is_empty() && !self.is_named
    }

    fn directory<'b>(&mut self, name: &[u8]) -> Result<Step<'b>> {
        let (path, depth) = self.item(name)?;
        if depth >= MAX_DEPTH {
            return Err(Error::protocol("directories that are too deep"));
        }
        self.above.push(self.path.len());
        self.path.clone_from(&path);
        if self.part == Part::Asks {
            return Ok(Step::Nothing);
        }
        self.items += 1;
        Ok(Step::Item { path, kind: Kind::Directory, depth, size: None, moved: 0, goes_on: false })
    }

    fn leave<'b>(&mut self) -> Result<Step<'b>> {
        let length = self.above.pop().ok_or_else(|| Error::protocol("a LEAVE where nothing was entered"))?;
        self.path.truncate(length);
        Ok(Step::Nothing)
    }

    fn file<'b>(&mut self, file: &File<'_>) -> Result<Step<'b>> {
        self.check_form(file)?;
        let (path, depth) = self.item(file.name)?;
        self.items += 1;
        let (goes_on, exactly) = (file.form != Form::Complete, file.form != Form::Stream);
        let most = if exactly { file.size } else { i64::MAX.unsigned_abs() };
        let mut begun = Begun { seen: 0, most, exactly };
        let moved = file.offset.saturating_add(length(file.data));
        begun.see(moved)?;
        self.file = Some(begun).filter(|_| goes_on);
        Ok(Step::Item { path, kind: Kind::File, depth, size: exactly.then_some(file.size), moved, goes_on })
    }

    /// What a file can be depends on what was asked for.
    fn check_form(&self, file: &File<'_>) -> Result<()> {
        let has = file.offset.saturating_add(length(file.data));
        let may_be_there = self.wishes.resume && file.form != Form::Stream;
        let why = match file.form {
            _ if file.offset > 0 && !may_be_there => "a file that starts where nobody said it would",
            Form::Complete if self.wishes.dry_run && file.data.is_empty() => return Ok(()),
            _ if self.wishes.dry_run => "data in a dry run",
            Form::Complete if has != file.size => "a file of another size than it says",
            Form::Complete if self.wishes.verify && !file.data.is_empty() => "data without its hash",
            _ => return Ok(()),
        };
        Err(Error::protocol(why))
    }

    /// What comes of the file that is under way.
    fn piece<'b>(&mut self, message: &FromSender<'_>) -> Result<Step<'b>> {
        let Some(begun) = &mut self.file else { return Err(Error::protocol("a piece of no file")) };
        let step = match *message {
            FromSender::Data(data) => return begun.see(length(data)).map(|()| Step::Moved(length(data))),
            FromSender::Hole(bytes) => return begun.see(bytes).map(|()| Step::Moved(bytes)),
            FromSender::Whole(hash) if hash.is_some() != self.wishes.verify => {
                return Err(Error::protocol("a hash that was not asked for, or none that was"));
            }
            FromSender::Whole(_) if begun.exactly && begun.seen != begun.most => {
                return Err(Error::protocol("a file that is shorter than it says"));
            }
            FromSender::Whole(_) => Step::Whole(begun.seen),
            FromSender::Abandoned => Step::Abandoned,
            _ => return Err(Error::protocol("a file does not end before something else begins")),
        };
        self.file = None;
        Ok(step)
    }

    /// The path of the next item, and how deep it is below what was named. Only that itself has no name.
    fn item(&mut self, name: &[u8]) -> Result<(Vec<u8>, usize)> {
        let is_named = std::mem::take(&mut self.is_named);
        if is_named != name.is_empty() || !is_named && self.above.is_empty() {
            return Err(Error::protocol("an item in no directory, or one of another name than was said"));
        }
        let mut path = self.path.clone();
        if !path.is_empty() && !path.ends_with(b"/") && !name.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        if path.len() > MAX_ITEM_LEN {
            return Err(Error::protocol("a path that is too long"));
        }
        Ok((path, self.above.len()))
    }
}

impl Begun {
    /// Counts bytes that came.
    fn see(&mut self, length: u64) -> Result<()> {
        let seen = self.seen.checked_add(length).filter(|seen| *seen <= self.most);
        self.seen = seen.ok_or_else(|| Error::protocol("a file that is longer than it says"))?;
        Ok(())
    }
}

fn length(data: &[u8]) -> u64 {
    u64::try_from(data.len()).unwrap_or(u64::MAX)
}

//! Where a sender is in the tree that it sends, and whether that is what it was asked for.

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

#[cfg(test)]
mod tests {
    use super::*;
    use keywire::proto::copy::{Meta, Way};

    /// One that has what it says, or will have 9 bytes.
    fn file(form: Form, name: &'static [u8], data: &'static [u8]) -> FromSender<'static> {
        let size = if form == Form::Complete { length(data) } else { 9 };
        FromSender::File(File { form, meta: Meta::default(), size, offset: 0, name, data })
    }

    fn directory(name: &'static [u8]) -> FromSender<'static> {
        FromSender::Directory(Meta::default(), name)
    }

    /// How many of the messages were taken, and the items among them.
    fn taken(wishes: Request, asked: &[&[u8]], messages: &[FromSender<'static>]) -> (usize, Vec<(String, usize)>) {
        let asked: Vec<Vec<u8>> = asked.iter().map(|source| source.to_vec()).collect();
        let mut tree = Tree::new(&asked, &wishes);
        let mut items = Vec::new();
        for (at, message) in messages.iter().enumerate() {
            match tree.take(message) {
                Ok(Step::Item { path, depth, .. }) => items.push((String::from_utf8(path).unwrap(), depth)),
                Ok(_) => {}
                Err(_) => return (at, items),
            }
        }
        (messages.len(), items)
    }

    fn wishes() -> Request {
        Request { recursive: true, ..Request::new(Way::FromHost) }
    }

    #[test]
    fn an_item_is_called_as_it_was_asked_for_and_by_the_names_below_that() {
        use FromSender::{Begin, Data, End, Leave, Problem, Top, Total, Whole};
        let messages = [
            Begin(3),
            Total(4, 9),
            Top(0, b"x/d"),
            directory(b""),
            file(Form::Complete, b"a", b"1"),
            directory(b"e"),
            file(Form::Pieces, b"b", b""),
            Data(b"123456789"),
            Problem(b"x/d/e/b", "it changed while it was read"),
            Whole(None),
            Leave,
            directory(b"f"),
            Leave,
            Leave,
            Top(1, b""),
            directory(b""),
            file(Form::Complete, b"c", b""),
            Leave,
            Top(2, b"/"),
            directory(b""),
            directory(b"g"),
            Leave,
            Leave,
            End(9),
        ];
        let (count, items) = taken(wishes(), &[b"x/d", b"", b"/"], &messages);
        assert_eq!(count, messages.len());
        let named = [
            ("x/d", 0),
            ("x/d/a", 1),
            ("x/d/e", 1),
            ("x/d/e/b", 2),
            ("x/d/f", 1),
            ("", 0),
            ("c", 1),
            ("/", 0),
            ("/g", 1),
        ];
        assert_eq!(items, named.map(|(path, depth)| (path.to_owned(), depth)));
    }

    #[test]
    fn what_was_not_asked_for_is_not_taken() {
        use FromSender::{Begin, Link, Top};
        let plain = Request::new(Way::FromHost);
        assert_eq!(taken(plain, &[b"a"], &[Begin(1), Top(0, b"b")]).0, 1);
        assert_eq!(taken(plain, &[b"a"], &[Begin(1), Top(0, b"a"), directory(b"")]).0, 2);
        assert_eq!(taken(plain, &[b"a"], &[Begin(1), Top(0, b"a"), Link(b"", b"/etc")]).0, 2);
        assert_eq!(taken(plain, &[b"a"], &[Begin(1), Top(0, b"a"), file(Form::Complete, b"b", b"")]).0, 2);
    }

    #[test]
    fn what_comes_at_the_wrong_place_is_not_taken() {
        use FromSender::{Answered, Ask, Begin, Data, End, Leave, Top, Whole};
        let top = || Top(0, b"a");
        for (messages, taken_of) in [
            (vec![top()], 0),
            (vec![Begin(1), Begin(1)], 1),
            (vec![Begin(1), file(Form::Complete, b"", b"")], 1),
            (vec![Begin(1), file(Form::Complete, b"a", b"")], 1),
            (vec![Begin(1), Leave], 1),
            (vec![Begin(1), Data(b"x")], 1),
            (vec![Begin(1), Ask(1, b"a")], 1),
            (vec![Begin(1), Answered], 1),
            (vec![Begin(1), top(), top()], 2),
            (vec![Begin(1), top(), End(0)], 2),
            (vec![Begin(1), top(), file(Form::Pieces, b"", b""), End(1)], 3),
            (vec![Begin(1), top(), file(Form::Complete, b"", b""), Whole(None)], 3),
            (vec![Begin(1), top(), file(Form::Complete, b"", b""), file(Form::Complete, b"", b"")], 3),
            (vec![Begin(1), top(), directory(b""), file(Form::Complete, b"", b"")], 3),
            (vec![Begin(1), top(), directory(b""), End(1)], 3),
            (vec![Begin(1), top(), file(Form::Complete, b"", b""), End(2)], 3),
            (vec![Begin(0), End(0), End(0)], 2),
            (vec![End(0)], 0),
        ] {
            assert_eq!(taken(wishes(), &[b"a"], &messages).0, taken_of, "{messages:?}");
        }
    }

    #[test]
    fn with_resume_the_tree_comes_twice_and_only_the_second_counts() {
        use FromSender::{Answered, Ask, Begin, End, Leave, Top};
        let wishes = Request { resume: true, ..wishes() };
        let front = [Begin(1), Top(0, b"d"), directory(b""), Ask(9, b"a"), Leave];
        let rest = [Answered, Top(0, b"d"), directory(b""), file(Form::Complete, b"a", b""), Leave, End(2)];
        let both = [&front[..], &rest[..]].concat();
        let (count, items) = taken(wishes, &[b"d"], &both);
        assert_eq!((count, items.len()), (both.len(), 2));
        assert_eq!(taken(wishes, &[b"d"], &[&front[..], &rest[1..]].concat()).0, front.len());
        assert_eq!(taken(wishes, &[b"d"], &[&front[..4], &rest[..]].concat()).0, 4);
        assert_eq!(taken(wishes, &[b"d"], &[&front[..3], &[file(Form::Complete, b"a", b"")]].concat()).0, 3);
    }

    #[test]
    fn a_file_is_as_long_as_it_says_and_no_longer_than_any_can_be() {
        use FromSender::{Abandoned, Data, Hole, Whole};
        let (pieces, stream) = (|| file(Form::Pieces, b"", b"1234"), || file(Form::Stream, b"", b""));
        let long = |size| {
            FromSender::File(File {
                form: Form::Complete,
                size,
                meta: Meta::default(),
                offset: 0,
                name: b"",
                data: b"12",
            })
        };
        let most = i64::MAX.unsigned_abs();
        for (what, is_taken) in [
            (vec![pieces(), Data(b"12345"), Whole(None)], true),
            (vec![pieces(), Hole(5), Whole(None)], true),
            (vec![pieces(), Data(b"123456")], false),
            (vec![pieces(), Hole(6)], false),
            (vec![pieces(), Hole(u64::MAX)], false),
            (vec![pieces(), Data(b"1"), Whole(None)], false),
            (vec![pieces(), Abandoned], true),
            (vec![pieces(), Hole(5), Whole(Some([0; 32]))], false),
            (vec![stream(), Hole(most), Whole(None)], true),
            (vec![stream(), Hole(most), Hole(1)], false),
            (vec![stream(), Hole(u64::MAX)], false),
            (vec![long(2)], true),
            (vec![long(3)], false),
        ] {
            let messages = [vec![FromSender::Begin(1), FromSender::Top(0, b"a")], what].concat();
            let count = messages.len() - usize::from(!is_taken);
            assert_eq!(taken(wishes(), &[b"a"], &messages).0, count, "{messages:?}");
        }
    }

    #[test]
    fn what_there_is_in_all_is_said_once() {
        let total = FromSender::Total(1, u64::MAX);
        assert_eq!(taken(wishes(), &[b"a"], &[FromSender::Begin(1), total, total]).0, 2);
    }

    #[test]
    fn a_tree_that_is_deeper_than_any_path_is_refused() {
        let mut messages = vec![FromSender::Begin(1), FromSender::Top(0, b"d"), directory(b"")];
        messages.extend(std::iter::repeat_with(|| directory(b"x")).take(MAX_DEPTH));
        assert_eq!(taken(wishes(), &[b"d"], &messages).0, messages.len() - 1);
    }
}

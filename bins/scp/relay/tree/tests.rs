//! What a sender may say, and what not.

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
    let named =
        [("x/d", 0), ("x/d/a", 1), ("x/d/e", 1), ("x/d/e/b", 2), ("x/d/f", 1), ("", 0), ("c", 1), ("/", 0), ("/g", 1)];
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
        FromSender::File(File { form: Form::Complete, size, meta: Meta::default(), offset: 0, name: b"", data: b"12" })
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

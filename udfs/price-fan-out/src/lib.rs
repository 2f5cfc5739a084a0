//! Joins positions with prices: each price of an instrument goes to the books that follow it, which are those that have traded it or asked
//! to. Behind it stands a stage whose key is the book, such as `market-risk` or `portfolio`.

use std::collections::BTreeSet;

use millstream_udf::prelude::*;

/// Bytes of an id or a name, at most: they bound the state.
const NAME_BYTES_MAX: usize = 128;
/// Books that follow an instrument, at most: a price makes so many items, and a host takes 100 for those of one time.
const BOOKS_MAX: usize = 50;

/// What a book does. The key is the instrument.
#[derive(Input)]
struct Position<'a> {
    id: &'a str,
    /// `trade`, or `follow` without one.
    #[field(rename = "type")]
    kind: &'a str,
    book: &'a str,
    /// Of a trade.
    quantity: Option<Decimal<6>>,
    price: Option<Decimal<6>>,
}

/// A price. The key is the instrument.
#[derive(Input)]
struct Quote<'a> {
    id: &'a str,
    price: Decimal<6>,
}

/// A position that waits for its time.
#[derive(Serialize, Deserialize)]
struct Booked {
    id: String,
    book: String,
    /// Quantity and price, in millionths.
    trade: Option<(i64, i64)>,
}

/// A price that waits for its time, or the last one.
#[derive(Clone, Serialize, Deserialize)]
struct Quoted {
    id: String,
    /// Millionths.
    price: i64,
}

/// A trade or a price, for a stage whose key is the book.
#[derive(Output)]
struct Item<'a> {
    id: &'a str,
    /// `trade` or `price`.
    #[field(rename = "type")]
    kind: &'a str,
    book: &'a str,
    instrument: &'a str,
    quantity: Option<Decimal<6>>,
    price: Decimal<6>,
    ts: i64,
}

/// A record that came when the watermark of its input had reached its event time: nothing is made of it.
#[derive(Output)]
#[output(tag = "type", value = "late")]
struct Late<'a> {
    id: &'a str,
    instrument: &'a str,
    ts: i64,
}

/// The outputs.
#[derive(Outputs)]
struct Out {
    items: Emit<Item<'static>>,
    late: Emit<Late<'static>>,
}

/// What is kept of an instrument.
#[derive(States)]
struct Instrument {
    positions: Ordered<Booked>,
    prices: Ordered<Quoted>,
    books: Value<BTreeSet<String>>,
    last: Value<Quoted>,
}

/// The UDF.
#[derive(Default)]
struct PriceFanOut;

#[udf(name = "price-fan-out", version = "1.0.0", state = Instrument, outputs = Out)]
impl PriceFanOut {
    #[input]
    fn positions(
        &self,
        position: Position<'_>,
        instrument: &mut Instrument,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        let Position { id, kind, book, quantity, price } = position;
        is_short("id", id)?;
        is_short("book", book)?;
        let trade = match (kind, quantity, price) {
            ("follow", ..) => None,
            ("trade", Some(quantity), Some(price)) => Some((quantity.units(), price.units())),
            ("trade", ..) => bail!("a `trade` needs `quantity` and `price`"),
            (other, ..) => {
                bail!("`{other}` is no type of position; it must be `trade` or `follow`")
            }
        };
        let is_full = instrument
            .books
            .get()
            .is_some_and(|books| books.len() >= BOOKS_MAX && !books.contains(book));
        ensure!(!is_full, "{BOOKS_MAX} books follow the instrument already");
        let booked = Booked { id: id.to_owned(), book: book.to_owned(), trade };
        if instrument.positions.push(booked).is_some() {
            out.late.emit(Late { id, instrument: ctx.key_text()?, ts: ctx.event_time() });
        }
        Ok(())
    }

    #[input]
    fn prices(
        &self,
        quote: Quote<'_>,
        instrument: &mut Instrument,
        out: &mut Out,
        ctx: &mut Context<'_>,
    ) -> Result<()> {
        let Quote { id, price } = quote;
        is_short("id", id)?;
        let quoted = Quoted { id: id.to_owned(), price: price.units() };
        if instrument.prices.push(quoted).is_some() {
            out.late.emit(Late { id, instrument: ctx.key_text()?, ts: ctx.event_time() });
        }
        Ok(())
    }

    /// A book that is new gets the price in force, so that it need not wait for the next.
    #[join(positions = ByEventTime)]
    fn booked(
        &self,
        booked: Booked,
        instrument: &mut Instrument,
        out: &mut Out,
        ctx: &FiredContext<'_>,
    ) -> Result<()> {
        let Booked { id, book, trade } = &booked;
        if instrument.books.get_or_default().insert(book.clone())
            && let Some(last) = instrument.last.get()
        {
            emit_price(last, book, out, ctx)?;
        }
        if let Some((quantity, price)) = *trade {
            out.items.emit(Item {
                id,
                kind: "trade",
                book,
                instrument: ctx.key_text()?,
                quantity: Some(Decimal::from_units(quantity)),
                price: Decimal::from_units(price),
                ts: ctx.time(),
            });
        }
        Ok(())
    }

    #[join(prices = ByEventTime)]
    fn quoted(
        &self,
        quoted: Quoted,
        instrument: &mut Instrument,
        out: &mut Out,
        ctx: &FiredContext<'_>,
    ) -> Result<()> {
        if let Some(books) = instrument.books.get() {
            books.iter().try_for_each(|book| emit_price(&quoted, book, out, ctx))?;
        }
        instrument.last.set(quoted);
        Ok(())
    }
}

/// Gives a price out to a book.
fn emit_price(quoted: &Quoted, book: &str, out: &mut Out, ctx: &FiredContext<'_>) -> Result<()> {
    out.items.emit(Item {
        id: &quoted.id,
        kind: "price",
        book,
        instrument: ctx.key_text()?,
        quantity: None,
        price: Decimal::from_units(quoted.price),
        ts: ctx.time(),
    });
    Ok(())
}

/// Refuses what is empty or too long.
fn is_short(field: &str, text: &str) -> Result<()> {
    let bytes = text.len();
    ensure!(
        (1..=NAME_BYTES_MAX).contains(&bytes),
        "`{field}` has {bytes} bytes; it must have 1 to {NAME_BYTES_MAX}"
    );
    Ok(())
}

#[cfg(test)]
mod tests;

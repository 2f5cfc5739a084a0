//! The bank's customers, and others they have to do with. All names are invented.

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

/// How many customers there are.
const CUSTOMERS: usize = 300;

/// Cities with their coordinates, in degrees.
pub(super) const CITIES: [(&str, f64, f64); 8] = [
    ("berlin", 52.52, 13.405),
    ("hamburg", 53.551, 9.994),
    ("munich", 48.137, 11.575),
    ("cologne", 50.938, 6.957),
    ("lisbon", 38.722, -9.139),
    ("athens", 37.984, 23.728),
    ("helsinki", 60.17, 24.938),
    ("dublin", 53.35, -6.26),
];
/// So many of them, the first ones, are homes of customers.
pub(super) const HOMES: usize = 4;

const FIRST: [&str; 20] = [
    "Anna", "Bruno", "Clara", "David", "Elena", "Felix", "Greta", "Henrik", "Ida", "Jonas",
    "Katja", "Lukas", "Mara", "Nils", "Olivia", "Paul", "Rosa", "Simon", "Tilda", "Urs",
];
const LAST: [&str; 20] = [
    "Albers", "Brandt", "Conrad", "Dietz", "Ebert", "Falk", "Gruber", "Haas", "Isler", "Jung",
    "Krause", "Lenz", "Maurer", "Noll", "Ott", "Peters", "Quast", "Roth", "Seidel", "Thoma",
];

/// A customer, with all that belongs to them.
#[derive(Clone)]
pub(super) struct Customer {
    pub id: String,
    pub name: String,
    pub account: String,
    /// `EUR` or `USD`: that of the account.
    pub currency: &'static str,
    /// `north` or `south`: which core system keeps the account.
    pub branch: &'static str,
    /// Index into [`CITIES`].
    pub city: usize,
    pub card: String,
    pub phone: String,
    /// What a month brings, in minor units.
    pub income: i64,
    /// Takes cash in a shop.
    pub trades: bool,
}

/// All customers, in no order.
pub(super) fn customers(random: &mut StdRng) -> Vec<Customer> {
    let customer = |number: usize, random: &mut StdRng| Customer {
        id: format!("c{number:03}"),
        name: format!(
            "{} {}",
            FIRST[number % FIRST.len()],
            LAST[number / FIRST.len() % LAST.len()]
        ),
        account: format!("a{number:03}"),
        currency: if random.random_bool(0.85) { "EUR" } else { "USD" },
        branch: if random.random_bool(0.5) { "north" } else { "south" },
        city: random.random_range(0..HOMES),
        card: format!("card{number:03}"),
        phone: format!("phone{number:03}"),
        income: random.random_range(180_000..650_000),
        trades: random.random_bool(0.12),
    };
    let mut people: Vec<Customer> = (0..CUSTOMERS).map(|number| customer(number, random)).collect();
    people.shuffle(random);
    people
}

/// A German account number with right check digits (ISO 13616).
pub(super) fn iban(random: &mut StdRng) -> String {
    let account = random.random_range(0..10_u64.pow(17));
    let account = format!("5{account:017}");
    // D is 13, E is 14, and the check digits count as 00.
    let digits = format!("{account}131400");
    let rest = digits.bytes().fold(0, |rest, digit| (rest * 10 + u64::from(digit - b'0')) % 97);
    format!("DE{:02}{account}", 98 - rest)
}

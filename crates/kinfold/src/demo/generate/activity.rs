//! What persons do: visits, orders, mails, consents.

use super::dice::{Dice, Purpose};
use super::files::{Consent, Contact, EmailEvent, Event, Files, Order, timestamp};
use super::person::{Kind, Person};
use super::words::{CAMPAIGNS, CATEGORIES, FIRST_NAMES, LAST_NAMES, PLACEHOLDERS, PLACES};
use super::{DAY, END_OF_HISTORY, GenerateError, ShopOptions};

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600 * SECOND;

/// Days between two newsletters.
const CAMPAIGN_DAYS: u64 = 14;

/// The purposes that the shop asks for.
const PURPOSES: [&str; 3] = ["email_marketing", "analytics", "advertising"];

/// A person's whole history.
pub(super) struct History<'a> {
    acts: Acts<'a>,
    /// First day and the day after the last one, counted from the start of the history.
    active: (u64, u64),
    start: i64,
    days: u64,
}

impl<'a> History<'a> {
    pub(super) fn new(options: &ShopOptions, person: &'a Person) -> Self {
        let mut dice = Dice::new(options.seed, Purpose::History, person.index);
        let days = u64::from(options.days.max(1));
        // A third knew the shop before.
        let from = if dice.chance(330) {
            0
        } else {
            dice.below(days)
        };
        let to = if dice.chance(400) {
            from + 1 + dice.below(days - from)
        } else {
            days
        };
        let borrowed = person
            .household
            .map(|owner| Person::new(options.seed, owner).devices);
        let start = END_OF_HISTORY.saturating_sub(i64::from(options.days.max(1)) * DAY);
        Self {
            acts: Acts {
                person,
                dice,
                borrowed: borrowed.and_then(|devices| devices.into_iter().next()),
            },
            active: (from, to.min(days)),
            start,
            days,
        }
    }

    pub(super) fn write(mut self, files: &mut Files<'_>) -> Result<(), GenerateError> {
        let joined = self.some_time(self.active.0, self.active.0 + 1);
        self.acts.contacts(files, joined, self.start)?;
        let subscribed = self.acts.consents(files, joined)?;
        let (visits, orders) = match self.acts.person.kind {
            Kind::Member => (
                1 + self
                    .acts
                    .dice
                    .weighted(&[26, 20, 14, 10, 8, 6, 5, 4, 3, 2, 2]),
                self.acts.dice.weighted(&[28, 24, 18, 12, 8, 5, 3, 2]),
            ),
            Kind::Guest => (
                self.acts.dice.weighted(&[40, 35, 25]),
                1 + self.acts.dice.weighted(&[72, 20, 8]),
            ),
            Kind::Visitor => (1 + self.acts.dice.weighted(&[60, 30, 10]), 0),
        };
        for visit in 0..visits + orders {
            let at = self.some_time(self.active.0, self.active.1);
            let login = self.acts.person.kind == Kind::Member && self.acts.dice.chance(550);
            self.acts.visit(files, at, login, visit < orders)?;
        }
        if subscribed {
            self.mails(files)?;
        }
        Ok(())
    }

    /// Newsletters, until the person has enough of them.
    fn mails(&mut self, files: &mut Files<'_>) -> Result<(), GenerateError> {
        let mut day = self.active.0.next_multiple_of(CAMPAIGN_DAYS);
        while day < self.days {
            let sent = self.some_time(day, day + 1);
            let campaign = format!("newsletter-{:02}", day / CAMPAIGN_DAYS + 1);
            if self.acts.mail(files, sent, &campaign)? {
                break;
            }
            day += CAMPAIGN_DAYS;
        }
        Ok(())
    }

    /// A time in the waking hours of one of these days.
    fn some_time(&mut self, from: u64, to: u64) -> i64 {
        let day = from + self.acts.dice.below(to.saturating_sub(from).max(1));
        let day_start = self.start + i64::try_from(day).unwrap_or(0) * DAY;
        day_start + self.acts.time_of_day()
    }
}

/// What a person does on an extra day.
pub(super) struct Day {
    person: Person,
    dice: Dice,
    start: i64,
    new: bool,
    day: u32,
}

impl Day {
    /// The day of a person with a history; none if they do nothing.
    pub(super) fn of_known(options: &ShopOptions, day: u32, index: u64) -> Option<Self> {
        let mut dice = Dice::new(options.seed, Purpose::Day(day), index);
        dice.chance(50)
            .then(|| Self::new(options, day, index, dice, false))
    }

    /// The first day of a person.
    pub(super) fn of_new(options: &ShopOptions, day: u32, index: u64) -> Self {
        Self::new(
            options,
            day,
            index,
            Dice::new(options.seed, Purpose::Day(day), index),
            true,
        )
    }

    fn new(options: &ShopOptions, day: u32, index: u64, dice: Dice, new: bool) -> Self {
        let start = END_OF_HISTORY + (i64::from(day) - 1) * DAY;
        Self {
            person: Person::new(options.seed, index),
            dice,
            start,
            new,
            day,
        }
    }

    pub(super) fn write(self, files: &mut Files<'_>) -> Result<(), GenerateError> {
        let Self {
            person,
            dice,
            start,
            new,
            day,
        } = self;
        let mut acts = Acts {
            person: &person,
            dice,
            borrowed: None,
        };
        let at = start + acts.time_of_day();
        let known = person.kind != Kind::Visitor;
        let mut subscribed = person.engagement >= 350;
        if new {
            acts.contacts(files, at, at)?;
            subscribed = acts.consents(files, at)?;
        } else if known && acts.dice.chance(60) {
            let status = if acts.dice.chance(500) {
                "withdrawn"
            } else {
                "granted"
            };
            acts.consent(files, "email_marketing", status, at)?;
            subscribed = status == "granted";
        }
        let login = person.kind == Kind::Member && acts.dice.chance(600);
        let buys = known && acts.dice.chance(350);
        acts.visit(files, at, login, buys)?;
        if known && subscribed && acts.dice.chance(400) {
            acts.mail(files, at, &format!("daily-{day:04}"))?;
        }
        Ok(())
    }
}

/// A person who acts, each act written as it happens.
struct Acts<'a> {
    person: &'a Person,
    dice: Dice,
    /// The browser of somebody else in the household.
    borrowed: Option<String>,
}

impl Acts<'_> {
    fn time_of_day(&mut self) -> i64 {
        let seconds = i64::try_from(self.dice.below(15 * 3_600)).unwrap_or(0);
        let milliseconds = i64::try_from(self.dice.below(1_000)).unwrap_or(0);
        7 * HOUR + seconds * SECOND + milliseconds * 1_000
    }

    /// Pages, a log-in, an order: one sitting at one browser.
    fn visit(
        &mut self,
        files: &mut Files<'_>,
        at: i64,
        login: bool,
        buys: bool,
    ) -> Result<(), GenerateError> {
        let person = self.person;
        let member = person.kind == Kind::Member;
        let device = match &self.borrowed {
            Some(borrowed) if self.dice.chance(300) => borrowed.clone(),
            _ => {
                let devices: Vec<&str> = person.devices.iter().map(String::as_str).collect();
                self.dice.pick(&devices).to_owned()
            }
        };
        let campaign = self
            .dice
            .chance(300)
            .then(|| self.dice.pick_early(&CAMPAIGNS));
        let mut visit = Visit {
            device: &device,
            at,
            user_id: None,
        };
        let pages = 1 + self.dice.weighted(&[30, 24, 16, 12, 8, 6, 4]);
        for page in 0..pages {
            let category = self.category();
            let path = if page == 0 {
                "/".to_owned()
            } else {
                format!("/{category}")
            };
            let shown = (page > 0).then_some(category);
            let source = campaign.filter(|_| page == 0);
            visit.event(self, files, "page", None, |event| {
                event.path = Some(&path);
                event.category = shown;
                event.campaign = source;
            })?;
            if page > 0 && self.dice.chance(450) {
                let value = self.price_cents(1);
                visit.event(self, files, "track", Some("product_viewed"), |event| {
                    event.category = Some(category);
                    event.value = Some(euros(value));
                })?;
            }
            if page == 0 && member && (login || buys) {
                let email = person.typed_email(&mut self.dice);
                visit.user_id = Some(&person.user_id);
                visit.event(self, files, "identify", None, |event| {
                    event.email = Some(&email)
                })?;
            }
        }
        if buys {
            self.order(files, &mut visit)
        } else {
            Ok(())
        }
    }

    fn order(&mut self, files: &mut Files<'_>, visit: &mut Visit<'_>) -> Result<(), GenerateError> {
        let person = self.person;
        let category = self.category();
        let items = 1 + self.dice.weighted(&[60, 24, 10, 6]);
        let amount_cents = self.price_cents(items);
        let email = person.typed_email(&mut self.dice);
        // Who has no account must leave an address; a member is known already.
        let left = (person.kind == Kind::Guest).then_some(email.as_str());
        visit.event(self, files, "track", Some("checkout_started"), |event| {
            event.category = Some(category)
        })?;
        visit.event(self, files, "track", Some("order_completed"), |event| {
            event.email = left;
            event.category = Some(category);
            event.value = Some(euros(amount_cents));
        })?;
        let phone = self
            .dice
            .chance(400)
            .then(|| person.typed_phone(&mut self.dice));
        let status = match self.dice.below(100) {
            0..=4 => "cancelled",
            5..=10 => "returned",
            _ => "completed",
        };
        let order_id = self.dice.record_id("o");
        files.order(
            person,
            &Order {
                order_id: &order_id,
                user_id: visit.user_id,
                email: Some(&email),
                phone: phone.as_deref(),
                ordered_at: visit.at,
                status,
                category,
                items: i32::try_from(items).unwrap_or(1),
                amount_cents,
            },
        )
    }

    /// The person's entries in the CRM; now and then there are two, of which one is older.
    fn contacts(
        &mut self,
        files: &mut Files<'_>,
        joined: i64,
        earliest: i64,
    ) -> Result<(), GenerateError> {
        let person = self.person;
        let has_contact = match person.kind {
            Kind::Member => self.dice.chance(820),
            Kind::Guest => self.dice.chance(600),
            Kind::Visitor => false,
        };
        if !has_contact {
            return Ok(());
        }
        let second = self.dice.chance(60);
        let since = joined.saturating_sub(i64::try_from(self.dice.below(400)).unwrap_or(0) * DAY);
        for entry in 0..=u8::from(second) {
            let older = entry == 1;
            let contact_id = self.dice.record_id("c");
            let user_id = if !older && person.kind == Kind::Member && self.dice.chance(700) {
                &person.user_id
            } else {
                ""
            };
            let phone = match self.dice.below(20) {
                0 => String::new(),
                _ => person.typed_phone(&mut self.dice),
            };
            let email = match self.dice.below(20) {
                0 => String::new(),
                1 => self.dice.pick(&PLACEHOLDERS).to_owned(),
                2 => format!(" {} ", person.typed_email(&mut self.dice)),
                _ => person.typed_email(&mut self.dice),
            };
            let (city, country) = if older {
                *self.place()
            } else {
                (person.city, person.country)
            };
            files.contact(
                person,
                &Contact {
                    contact_id: &contact_id,
                    user_id,
                    email: &email,
                    phone: &phone,
                    first_name: &self.typed_name(person.first_name, &FIRST_NAMES),
                    last_name: &self.typed_name(person.last_name, &LAST_NAMES),
                    city: &self.spaced(city),
                    country,
                    created_at: since,
                    updated_at: if older {
                        since + HOUR
                    } else {
                        joined.max(earliest)
                    },
                },
            )?;
        }
        Ok(())
    }

    /// First answers to the question for consent; whether mails are allowed.
    fn consents(&mut self, files: &mut Files<'_>, at: i64) -> Result<bool, GenerateError> {
        let asked = match self.person.kind {
            Kind::Member => self.dice.chance(900),
            Kind::Guest => self.dice.chance(600),
            Kind::Visitor => false,
        };
        let mut subscribed = false;
        for (purpose, per_mille) in PURPOSES.into_iter().zip([620, 750, 350]) {
            let granted = self.dice.chance(per_mille);
            // Who says no is often not recorded at all, and then nobody knows.
            if asked && (granted || self.dice.chance(300)) {
                self.consent(
                    files,
                    purpose,
                    if granted { "granted" } else { "withdrawn" },
                    at,
                )?;
                subscribed |= granted && purpose == "email_marketing";
            }
        }
        Ok(subscribed)
    }

    fn consent(
        &mut self,
        files: &mut Files<'_>,
        purpose: &str,
        status: &str,
        at: i64,
    ) -> Result<(), GenerateError> {
        let consent_id = self.dice.record_id("s");
        let email = self.person.typed_email(&mut self.dice);
        let channel = self.dice.pick(&["web", "app", "shop"]);
        let consent = Consent {
            consent_id: &consent_id,
            email: &email,
            purpose,
            status,
            channel,
            changed_at: at,
        };
        files.consent(self.person, &consent)
    }

    /// One newsletter and what becomes of it; whether the person unsubscribed.
    fn mail(
        &mut self,
        files: &mut Files<'_>,
        sent: i64,
        campaign: &str,
    ) -> Result<bool, GenerateError> {
        if self.dice.chance(15) {
            self.mail_event(files, campaign, "bounced", sent)?;
            return Ok(false);
        }
        self.mail_event(files, campaign, "delivered", sent)?;
        if !self.dice.chance(self.person.engagement) {
            return Ok(false);
        }
        let opened = sent + i64::try_from(1 + self.dice.below(90)).unwrap_or(1) * 60 * SECOND / 2;
        self.mail_event(files, campaign, "opened", opened)?;
        if self.dice.chance(250) {
            self.mail_event(files, campaign, "clicked", opened + 20 * SECOND)?;
        } else if self.dice.chance(25) {
            self.mail_event(files, campaign, "unsubscribed", opened + 30 * SECOND)?;
            self.consent(files, "email_marketing", "withdrawn", opened + 30 * SECOND)?;
            return Ok(true);
        }
        Ok(false)
    }

    fn mail_event(
        &mut self,
        files: &mut Files<'_>,
        campaign: &str,
        event: &str,
        at: i64,
    ) -> Result<(), GenerateError> {
        let email_event_id = self.dice.record_id("m");
        let row = EmailEvent {
            email_event_id: &email_event_id,
            email: &self.person.email,
            campaign,
            event,
            occurred_at: timestamp(at),
        };
        files.email_event(self.person, &row)
    }

    fn category(&mut self) -> &'static str {
        if self.dice.chance(400) {
            self.person.favourite
        } else {
            self.dice.pick_early(&CATEGORIES)
        }
    }

    /// Mostly small amounts, a few large ones.
    fn price_cents(&mut self, items: u64) -> i64 {
        let one = 900 + (1 + self.dice.below(150)) * (1 + self.dice.below(150));
        i64::try_from(one * items).unwrap_or(0)
    }

    fn place(&mut self) -> &'static (&'static str, &'static str) {
        let at = usize::try_from(self.dice.below(PLACES.len() as u64)).unwrap_or(0);
        PLACES.get(at).unwrap_or(&("London", "GB"))
    }

    /// A name as it is typed into a form: at times in capitals or lower case, rarely not at all.
    fn typed_name(&mut self, name: &str, others: &[&str]) -> String {
        match self.dice.below(24) {
            0 => name.to_uppercase(),
            1 | 2 => name.to_lowercase(),
            3 => format!(" {name}  "),
            4 => String::new(),
            // A typing mistake: somebody else's name.
            5 if self.dice.chance(100) => self.dice.pick(others).to_owned(),
            _ => name.to_owned(),
        }
    }

    fn spaced(&mut self, text: &str) -> String {
        if self.dice.chance(50) {
            format!("{text} ")
        } else {
            text.to_owned()
        }
    }
}

/// One sitting.
struct Visit<'a> {
    device: &'a str,
    /// When the latest event was sent.
    at: i64,
    user_id: Option<&'a str>,
}

impl<'a> Visit<'a> {
    /// Some seconds later, one more event.
    fn event<'e>(
        &mut self,
        acts: &mut Acts<'_>,
        files: &mut Files<'_>,
        r#type: &'e str,
        event: Option<&'e str>,
        fill: impl FnOnce(&mut Event<'e>),
    ) -> Result<(), GenerateError>
    where
        'a: 'e,
    {
        self.at += i64::try_from(3_000 + acts.dice.below(120_000)).unwrap_or(0) * 1_000;
        let mut row = Event {
            message_id: acts.dice.uuid(),
            r#type,
            event,
            anonymous_id: self.device,
            user_id: self.user_id,
            email: None,
            path: None,
            category: None,
            value: None,
            campaign: None,
            sent_at: timestamp(self.at),
        };
        fill(&mut row);
        files.event(acts.person, &row)?;
        // Networks fail after the server took the event: the sender tries again.
        if acts.dice.chance(5) {
            files.repeated_event(&row)
        } else {
            Ok(())
        }
    }
}

/// Cents as euros.
fn euros(cents: i64) -> f64 {
    // Below 2^53, so exact before the division.
    #[expect(
        clippy::cast_precision_loss,
        reason = "amounts are far below 2^53 cents"
    )]
    let cents = cents as f64;
    cents / 100.0
}

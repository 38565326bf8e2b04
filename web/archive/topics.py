"""What passages are about, by plain rules on their words.

Rules instead of a trained model: they give the same answer everywhere, a
reader can see why a passage is filed where it is, and nothing has to be kept
with the corpus.
"""

import re
from typing import NamedTuple


class Rule(NamedTuple):
    """A topic and the words (each may end in * for any ending) that file a passage under it."""

    name: str
    slug: str
    description: str
    words: str

    @property
    def pattern(self) -> re.Pattern[str]:
        """The words as one pattern."""
        alternatives = (
            re.escape(word.strip()).replace(r"\*", r"\w*").replace(r"\ ", r"\s+")
            for word in self.words.split(",")
        )
        return re.compile(rf"\b(?:{'|'.join(alternatives)})\b", re.IGNORECASE)


RULES = (
    Rule(
        "Agriculture",
        "agriculture",
        "Farms, harvests and the people who live by them.",
        "agricultur*, farm, farms, farmer*, farming, crop, crops, harvest*, livestock, cotton, wheat, corn",
    ),
    Rule(
        "Civil rights",
        "civil-rights",
        "Equal rights before the law, and the long argument about who has them.",
        "civil rights, suffrage, right to vote, voting rights, discriminat*, segregat*, lynching, "
        "equal rights, equal protection, fifteenth amendment, fourteenth amendment, racial, freedmen",
    ),
    Rule(
        "Crime and justice",
        "crime-and-justice",
        "Courts, police, prisons and the keeping of order.",
        "crime, crimes, criminal*, police, prison*, penitentiar*, supreme court, circuit court*, "
        "district court*, judiciary, attorney-general, law enforcement, drug, drugs, lawless*",
    ),
    Rule(
        "Currency and banking",
        "currency-and-banking",
        "Gold, silver, paper money and those who keep it.",
        "bank, banks, banking, currency, gold, silver, coin, coins, coinage, specie, bullion, "
        "federal reserve, treasury notes, legal tender",
    ),
    Rule(
        "Economy and employment",
        "economy-and-employment",
        "Work, prices, growth and hard times.",
        "econom*, unemploy*, inflation, jobs, recession, depression, prosperity, small business*, "
        "productivity, cost of living",
    ),
    Rule(
        "Education",
        "education",
        "Schools, colleges and what a free people should know.",
        "education*, school*, college*, universit*, teacher*, student*, illiteracy",
    ),
    Rule(
        "Energy",
        "energy",
        "Coal, oil, the atom and the wind.",
        "energy, petroleum, oil, coal, natural gas, gasoline, electric power, hydroelectric, "
        "nuclear power, nuclear energy, atomic energy, fuel, fuels, solar, renewable*",
    ),
    Rule(
        "Foreign affairs",
        "foreign-affairs",
        "Treaties, ministers and the powers of the world.",
        "treaty, treaties, minister plenipotentiary, envoy*, diplomat*, foreign powers, foreign policy, "
        "foreign relations, embassy, ambassador*, consul, consuls, consular, consulate*, alliance*, "
        "allies, united nations, great britain, france, spain, germany, russia, china, japan, mexico, "
        "soviet*, neutrality",
    ),
    Rule(
        "Health",
        "health",
        "Sickness, medicine and who pays for it.",
        "public health, health care, health insurance, hospital*, medicare, medicaid, disease*, doctor*, "
        "medical, medicine*, epidemic*, pandemic*, yellow fever, cholera, vaccin*, cancer, quarantine*",
    ),
    Rule(
        "Immigration",
        "immigration",
        "Those who came, and the laws that met them.",
        "immigra*, emigra*, naturaliz*, aliens, refugee*, southern border, border security, "
        "secure the border",
    ),
    Rule(
        "Labour",
        "labour",
        "Wages, hours, strikes and unions.",
        "labor union*, trade union*, organized labor, collective bargaining, wage, wages, strike, strikes, "
        "laboring, workingm*, minimum wage, eight-hour, employers, laborers, child labor, workmen",
    ),
    Rule(
        "Land and conservation",
        "land-and-conservation",
        "The public lands: settled, sold, wasted and saved.",
        "public lands, public domain, homestead*, conservation, forest*, national park*, irrigation, "
        "reclamation, wilderness, pollution, environment*, climate, preemption",
    ),
    Rule(
        "Native peoples",
        "native-peoples",
        "What was said of the first nations of the continent, seldom to them.",
        "indian, indians, tribe, tribes, tribal, aborigin*, native american*, cherokee*, creek nation, "
        "seminole*, sioux, apache*, choctaw*, chickasaw*, navajo*",
    ),
    Rule(
        "Navy and army",
        "navy-and-army",
        "Ships, forts, militias and their keep.",
        "navy, naval, army, militia*, fortification*, armed forces, air force, marine corps, frigate*, "
        "squadron*, war vessel*, enlisted, regiment*, military academy",
    ),
    Rule(
        "Post and communications",
        "post-and-communications",
        "Letters, telegraphs, wires and waves.",
        "post-office*, post office*, postal, postmaster*, mails, postage, telegraph*, cable, telephone*, "
        "radio, television, internet, broadband",
    ),
    Rule(
        "Railways and roads",
        "railways-and-roads",
        "Rails, canals, highways: how the country was joined up.",
        "railroad*, railway*, canal, canals, highway*, turnpike*, roads, bridges, internal improvement*, "
        "interstate commerce, transcontinental, airport*",
    ),
    Rule(
        "Slavery",
        "slavery",
        "Bondage, the trade in people, and its end.",
        "slave, slaves, slavery, slaveholding, slave-trade, enslaved, fugitive slave*, emancipat*, "
        "african slave trade, bondage, abolition*",
    ),
    Rule(
        "Space",
        "space",
        "Satellites, moons and the stars beyond.",
        "outer space, space station, space program*, space shuttle, astronaut*, satellite*, moon, "
        "nasa, spacecraft, rocket*",
    ),
    Rule(
        "Tariffs and trade",
        "tariffs-and-trade",
        "Duties, markets and the quarrel over both.",
        "tariff*, duties on, customs, import, imports, importation*, export, exports, exportation*, "
        "reciprocity, free trade, foreign trade, protective, trade agreement*",
    ),
    Rule(
        "Taxes and debt",
        "taxes-and-debt",
        "What is owed, by whom, and when it will be paid.",
        "tax, taxes, taxation, taxpayer*, public debt, national debt, deficit*, surplus, budget*, "
        "internal revenue, income tax*",
    ),
    Rule(
        "Terrorism and weapons of mass destruction",
        "terrorism-and-weapons",
        "The fears of a later age.",
        "terrorism, terrorist*, al-qaida, al qaeda, isis, hijack*, nuclear weapon*, "
        "weapons of mass destruction, atomic bomb*, nuclear arms, missile*",
    ),
    Rule(
        "War and peace",
        "war-and-peace",
        "Wars fought, feared, ended and remembered.",
        "war, wars, warfare, battle*, armistice, invasion*, hostilities, enemy, enemies, belligerent*, "
        "rebellion, insurgent*, troops, soldiers, veterans, pensions, peace treaty",
    ),
)

_PATTERNS = {rule.slug: rule.pattern for rule in RULES}


def topics_of(text: str) -> list[str]:
    """Return the slugs of the topics a passage is filed under, in alphabetical order of their names."""
    return [slug for slug, pattern in _PATTERNS.items() if pattern.search(text)]


def main_topics(counts: dict[str, int], passages: int) -> list[str]:
    """Return the slugs of what an address is mostly about: at least two passages and a twelfth of all."""
    least = max(2, passages / 12)
    return [rule.slug for rule in RULES if counts.get(rule.slug, 0) >= least]

"""Who the corpus's names stand for.

The corpus writes "William Mc Kinley" and "George Bush" and leaves out terms
of office; this table gives each name once, in order of first taking office.
"""

from typing import NamedTuple


class Person(NamedTuple):
    """A president: the corpus's name, the name in use, the full name, terms as (number, start, end)."""

    key: str
    name: str
    full_name: str
    terms: tuple[tuple[int, int, int | None], ...]


PRESIDENTS = (
    Person("George Washington", "George Washington", "George Washington", ((1, 1789, 1797),)),
    Person("John Adams", "John Adams", "John Adams", ((2, 1797, 1801),)),
    Person("Thomas Jefferson", "Thomas Jefferson", "Thomas Jefferson", ((3, 1801, 1809),)),
    Person("James Madison", "James Madison", "James Madison", ((4, 1809, 1817),)),
    Person("James Monroe", "James Monroe", "James Monroe", ((5, 1817, 1825),)),
    Person("John Quincy Adams", "John Quincy Adams", "John Quincy Adams", ((6, 1825, 1829),)),
    Person("Andrew Jackson", "Andrew Jackson", "Andrew Jackson", ((7, 1829, 1837),)),
    Person("Martin Van Buren", "Martin Van Buren", "Martin Van Buren", ((8, 1837, 1841),)),
    Person("John Tyler", "John Tyler", "John Tyler", ((10, 1841, 1845),)),
    Person("James Polk", "James K. Polk", "James Knox Polk", ((11, 1845, 1849),)),
    Person("Zachary Taylor", "Zachary Taylor", "Zachary Taylor", ((12, 1849, 1850),)),
    Person("Millard Fillmore", "Millard Fillmore", "Millard Fillmore", ((13, 1850, 1853),)),
    Person("Franklin Pierce", "Franklin Pierce", "Franklin Pierce", ((14, 1853, 1857),)),
    Person("James Buchanan", "James Buchanan", "James Buchanan", ((15, 1857, 1861),)),
    Person("Abraham Lincoln", "Abraham Lincoln", "Abraham Lincoln", ((16, 1861, 1865),)),
    Person("Andrew Johnson", "Andrew Johnson", "Andrew Johnson", ((17, 1865, 1869),)),
    Person("Ulysses S Grant", "Ulysses S. Grant", "Ulysses S. Grant", ((18, 1869, 1877),)),
    Person("Rutherford B Hayes", "Rutherford B. Hayes", "Rutherford Birchard Hayes", ((19, 1877, 1881),)),
    Person("Chester A Arthur", "Chester A. Arthur", "Chester Alan Arthur", ((21, 1881, 1885),)),
    Person(
        "Grover Cleveland",
        "Grover Cleveland",
        "Stephen Grover Cleveland",
        ((22, 1885, 1889), (24, 1893, 1897)),
    ),
    Person("Benjamin Harrison", "Benjamin Harrison", "Benjamin Harrison", ((23, 1889, 1893),)),
    Person("William Mc Kinley", "William McKinley", "William McKinley", ((25, 1897, 1901),)),
    Person("Theodore Roosevelt", "Theodore Roosevelt", "Theodore Roosevelt", ((26, 1901, 1909),)),
    Person("William H Taft", "William Howard Taft", "William Howard Taft", ((27, 1909, 1913),)),
    Person("Woodrow Wilson", "Woodrow Wilson", "Thomas Woodrow Wilson", ((28, 1913, 1921),)),
    Person("Warren G Harding", "Warren G. Harding", "Warren Gamaliel Harding", ((29, 1921, 1923),)),
    Person("Calvin Coolidge", "Calvin Coolidge", "John Calvin Coolidge", ((30, 1923, 1929),)),
    Person("Herbert Hoover", "Herbert Hoover", "Herbert Clark Hoover", ((31, 1929, 1933),)),
    Person("Franklin D Roosevelt", "Franklin D. Roosevelt", "Franklin Delano Roosevelt", ((32, 1933, 1945),)),
    Person("Harry S Truman", "Harry S. Truman", "Harry S. Truman", ((33, 1945, 1953),)),
    Person("Dwight D Eisenhower", "Dwight D. Eisenhower", "Dwight David Eisenhower", ((34, 1953, 1961),)),
    Person("John F Kennedy", "John F. Kennedy", "John Fitzgerald Kennedy", ((35, 1961, 1963),)),
    Person("Lyndon B Johnson", "Lyndon B. Johnson", "Lyndon Baines Johnson", ((36, 1963, 1969),)),
    Person("Richard Nixon", "Richard Nixon", "Richard Milhous Nixon", ((37, 1969, 1974),)),
    Person("Gerald R Ford", "Gerald R. Ford", "Gerald Rudolph Ford Jr.", ((38, 1974, 1977),)),
    Person("Jimmy Carter", "Jimmy Carter", "James Earl Carter Jr.", ((39, 1977, 1981),)),
    Person("Ronald Reagan", "Ronald Reagan", "Ronald Wilson Reagan", ((40, 1981, 1989),)),
    Person("George Bush", "George H. W. Bush", "George Herbert Walker Bush", ((41, 1989, 1993),)),
    Person("William J Clinton", "Bill Clinton", "William Jefferson Clinton", ((42, 1993, 2001),)),
    Person("George W Bush", "George W. Bush", "George Walker Bush", ((43, 2001, 2009),)),
    Person("Barack Obama", "Barack Obama", "Barack Hussein Obama II", ((44, 2009, 2017),)),
    Person("Donald J Trump", "Donald Trump", "Donald John Trump", ((45, 2017, 2021), (47, 2025, None))),
    Person("Joseph R Biden", "Joe Biden", "Joseph Robinette Biden Jr.", ((46, 2021, 2025),)),
)

# The corpus's party names that need spelling out; the others stand as they are.
PARTIES = {"none": "Unaffiliated", "Whig & Democratic": "Whig and Democratic"}

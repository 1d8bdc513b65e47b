#!/usr/bin/python3
"""Rules and events for `freshet bench filter`: patterns of all operators over changes of products, from a seed.

    bench/suites/filter_rules.py --rules 10000 --events 2000 --into DIR     writes DIR/rules.jsonl and DIR/events.jsonl
    build/release/freshet bench filter --rules DIR/rules.jsonl --events DIR/events.jsonl

Each kind of rule has the same share. Nearly all select something in particular (a brand, a range of prices, a network), as
people's rules do, so that an event matches some rules in ten thousand; one in two thousand matches nearly everything.
"""

import argparse
import json
import pathlib
import random

CATEGORIES = 400
BRANDS = 2000
SKUS = 100000
WORDS = 600
COLOURS = ["black", "white", "red", "green", "blue", "brass", "oak", "steel"]
STATUSES = ["draft", "active", "active", "active", "paused", "retired"]
COUNTRIES = ["DE", "AT", "CH", "FR", "NL", "PL", "IT", "ES"]
SYLLABLES = ["ka", "lo", "mi", "ra", "te", "su", "no", "vi", "pe", "do"]


def word(number):
    """One of WORDS words, none of which begins another."""
    text = ""
    number = number * 7919 % 10000
    for _ in range(4):
        text += SYLLABLES[number % 10]
        number //= 10
    return text


def category(number):
    return f"{word(number)}/{number:03d}"


def brand(number):
    return f"{word(number).capitalize()} {number:04d}"


def sku(number):
    return f"SKU-{number:06d}"


def address(rng):
    return f"10.{rng.randrange(16)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"


# ---- rules ----


def image(**fields):
    return {"collection": ["products"], "newImage": fields}


def rule_exact(rng):
    return image(category=[category(rng.randrange(CATEGORIES))], brand=[brand(rng.randrange(BRANDS)) for _ in range(4)])


def rule_prefix(rng):
    return image(sku=[{"prefix": sku(rng.randrange(SKUS))[: rng.choice([8, 9])]}])


def rule_suffix(rng):
    return image(title=[{"suffix": f"{word(rng.randrange(WORDS))} {rng.randrange(100):02d}"}])


def rule_anything_but(rng):
    but = rng.choice([{"anything-but": rng.sample(["draft", "paused", "retired"], 2)},
                      {"anything-but": {"prefix": "ret"}}, {"anything-but": {"suffix": "ed"}}])
    return image(brand=[brand(rng.randrange(BRANDS))], status=[but])


def rule_numeric(rng):
    low = rng.randrange(1, 100000) / 100
    return image(price=[{"numeric": [">=", low, "<", round(low + rng.choice([0.5, 5, 20]), 2)]}],
                 stock=[{"numeric": [rng.choice(["<", "<="]), rng.randrange(1, 30)]}])


def rule_exists(rng):
    return image(brand=[brand(rng.randrange(BRANDS))], discount=[{"exists": rng.random() < 0.5}])


def rule_wildcard(rng):
    first, second = word(rng.randrange(WORDS)), word(rng.randrange(WORDS))
    return image(title=[{"wildcard": rng.choice([f"*{first}*{second}*", f"{first} *{rng.randrange(100):02d}"])}])


def rule_cidr(rng):
    bits = rng.choice([22, 24, 24, 26])
    return image(warehouse={"ip": [{"cidr": f"{address(rng)}/{bits}"}], "country": rng.sample(COUNTRIES, 4)})


def rule_ignore_case(rng):
    return image(brand=[{"equals-ignore-case": brand(rng.randrange(BRANDS)).upper()}])


def rule_or(rng):
    return {"collection": ["products"], "eventName": ["MODIFY", "INSERT"],
            "$or": [{"newImage": {"sku": [sku(rng.randrange(SKUS))]}},
                    {"newImage": {"category": [category(rng.randrange(CATEGORIES))],
                                  "price": [{"numeric": [">", rng.randrange(500, 999)]}],
                                  "tags": [word(rng.randrange(WORDS))]}}]}


def rule_changed(rng):
    return {"eventName": ["MODIFY"], "changed": [rng.choice(["price", "stock", "title"])],
            "newImage": {"brand": [brand(rng.randrange(BRANDS))]}}


def rule_variants(rng):
    """Consistently within one element of an array of objects."""
    return image(category=[category(rng.randrange(CATEGORIES))],
                 variants={"colour": [rng.choice(COLOURS)], "size": [{"numeric": ["=", rng.randrange(36, 48)]}]})


def rule_wide(_):
    return {"eventName": [{"anything-but": "REMOVE"}], "newImage": {"title": [{"exists": True}]}}


KINDS = [rule_exact, rule_prefix, rule_suffix, rule_anything_but, rule_numeric, rule_exists, rule_wildcard, rule_cidr,
         rule_ignore_case, rule_or, rule_changed, rule_variants]
WIDE_EVERY = 2000


def rules(count, seed):
    rng = random.Random(f"rules {seed}")
    for number in range(count):
        yield (rule_wide if number % WIDE_EVERY == WIDE_EVERY - 1 else KINDS[number % len(KINDS)])(rng)


# ---- events ----


def product(rng):
    number = rng.randrange(SKUS)
    fields = {
        "id": str(number),
        "title": " ".join(word(rng.randrange(WORDS)) for _ in range(3)) + f" {rng.randrange(100):02d}",
        "description": " ".join(word(rng.randrange(WORDS)) for _ in range(12)),
        "price": rng.randrange(1, 100000) / 100,
        "category": category(rng.randrange(CATEGORIES)),
        "brand": brand(rng.randrange(BRANDS)),
        "sku": sku(number),
        "stock": rng.randrange(300),
        "status": rng.choice(STATUSES),
        "tags": [word(rng.randrange(WORDS)) for _ in range(rng.randrange(4))],
        "warehouse": {"ip": address(rng), "country": rng.choice(COUNTRIES)},
        "variants": [{"colour": rng.choice(COLOURS), "size": rng.randrange(36, 48)} for _ in range(rng.randrange(4))],
    }
    if rng.random() < 0.3:
        fields["discount"] = rng.randrange(5, 60)
    return fields


def event(rng, sequence):
    new = product(rng)
    name = rng.choices(["MODIFY", "INSERT", "REMOVE"], [8, 1, 1])[0]
    change = {"eventID": f"1f3a9c2e-1-{sequence}", "eventName": name, "eventSource": "freshet", "collection": "products",
              "keys": {"id": new["id"]}, "sequence": sequence, "version": rng.randrange(1, 50),
              "time": f"2026-01-01T00:00:{sequence % 60:02d}.000Z", "changed": []}
    if name == "MODIFY":
        old = product(rng)
        changed = rng.sample(["price", "stock", "title", "status", "discount"], rng.randrange(1, 3))
        change["changed"] = sorted(changed)
        before = dict(new)
        for field in changed:
            before.pop(field, None)
            if field in old:
                before[field] = old[field]
        change.update(newImage=new, oldImage=before)
    else:
        change["newImage" if name == "INSERT" else "oldImage"] = new
    return change


def events(count, seed):
    rng = random.Random(f"events {seed}")
    return (event(rng, sequence) for sequence in range(1, count + 1))


def write_lines(path, items):
    with open(path, "w", encoding="utf-8") as out:
        for item in items:
            out.write(json.dumps(item, separators=(",", ":"), ensure_ascii=False) + "\n")
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rules", type=int, default=10000, help="how many (default 10000)")
    parser.add_argument("--events", type=int, default=2000, help="how many (default 2000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--into", type=pathlib.Path, default=pathlib.Path("."), metavar="DIR")
    options = parser.parse_args()
    options.into.mkdir(parents=True, exist_ok=True)
    print(write_lines(options.into / "rules.jsonl", rules(options.rules, options.seed)))
    print(write_lines(options.into / "events.jsonl", events(options.events, options.seed)))


if __name__ == "__main__":
    main()

"""The staging rules once more: slow, scalar, written from the definitions alone.

A rule takes one complete patient (a dict) and returns the set of answers that the definitions
leave: one, or two where a tumour thrombus reaches an unknown branch. A missing input is filled in
with every value of its column that the rules could tell apart.
"""

from __future__ import annotations

import math
from functools import cache

# Values that stand for all others: between any two limits of any rule, and on the limits.
VALUES = {
    "tumour_size_cm": (0.1, 2.0, 2.1, 3.0, 3.1, 5.0, 5.1, 30.0),
    "tumour_count": (1, 2, 3, 4, 9),
    "satellites": (0, 1),
    "vascular_invasion": ("none", "micro", "macro", "major"),
    "portal_vein_tumour_thrombus": (0, 1),
    "adjacent_organ_invasion": (0, 1),
    "bile_duct_invasion": (0, 1),
    "nodal_metastasis": (0, 1),
    "distant_metastasis": (0, 1),
    "ecog": (0, 1, 2, 3, 4),
    "transplant_candidate": (0, 1),
    "tumour_over_half_liver": (0, 1),
    "bilirubin_umol_l": (17.1, 34.2, 51.3, 60.0),
    "albumin_g_l": (40.0, 35.0, 30.0, 29.0, 28.0, 27.0),
    "inr": (1.0, 1.7, 2.3, 2.4),
    "ascites": ("none", "mild", "moderate"),
    "encephalopathy": (0, 1, 2, 3, 4),
    "afp_ng_ml": (1.0, 399.0, 400.0),
    "sex": ("female", "male"),
}


def milligrams(p):
    return round(p["bilirubin_umol_l"] / 17.1, 6)


def grams(p):
    return round(p["albumin_g_l"] / 10, 6)


def points(p):
    total = 0
    bilirubin, albumin, inr = milligrams(p), grams(p), p["inr"]
    total += 1 if bilirubin < 2 else 2 if bilirubin <= 3 else 3
    total += 1 if albumin > 3.5 else 2 if albumin >= 2.8 else 3
    total += 1 if inr < 1.7 else 2 if inr <= 2.3 else 3
    total += {"none": 1, "mild": 2, "moderate": 3}[p["ascites"]]
    total += {0: 1, 1: 2, 2: 2, 3: 3, 4: 3}[p["encephalopathy"]]
    return total


def pugh(p):
    return "A" if points(p) <= 6 else "B" if points(p) <= 9 else "C"


def main_branch(p):
    """True, False, or both where a thrombus is known and its reach is not."""
    if p["vascular_invasion"] == "major":
        return (True,)
    if p["vascular_invasion"] == "macro" and p["portal_vein_tumour_thrombus"]:
        return (False, True)
    return (False,)


def macro(p):
    return p["vascular_invasion"] in ("macro", "major") or bool(p["portal_vein_tumour_thrombus"])


def several(p):
    return p["tumour_count"] > 1 or bool(p["satellites"])


def tnm(p):
    if p["distant_metastasis"]:
        return {"IVB"}
    if p["nodal_metastasis"]:
        return {"IVA"}
    found = set()
    for main in main_branch(p):
        if main or p["adjacent_organ_invasion"]:
            found.add("IIIB")
        elif several(p):
            found.add("IIIA" if p["tumour_size_cm"] > 5 else "II")
        elif p["tumour_size_cm"] <= 2:
            found.add("IA")
        else:
            found.add("IB" if p["vascular_invasion"] == "none" else "II")
    return found


def tnm_ajcc7(p):
    if p["distant_metastasis"]:
        return {"IVB"}
    if p["nodal_metastasis"]:
        return {"IVA"}
    if p["adjacent_organ_invasion"]:
        return {"IIIC"}
    found = set()
    for main in main_branch(p):
        if main:
            found.add("IIIB")
        elif several(p):
            found.add("IIIA" if p["tumour_size_cm"] > 5 else "II")
        else:
            found.add("I" if p["vascular_invasion"] == "none" else "II")
    return found


def barcelona(p, single_limit):
    if p["ecog"] >= 3 or (pugh(p) == "C" and not p["transplant_candidate"]):
        return {"D"}
    spread = p["nodal_metastasis"] or p["distant_metastasis"]
    if macro(p) or spread or p["ecog"] in (1, 2):
        return {"C"}
    size, count = p["tumour_size_cm"], p["tumour_count"]
    if count == 1 and size <= 2:
        return {"0"}
    if count == 1 and size <= single_limit:
        return {"A"}
    if count in (2, 3) and size <= 3:
        return {"A"}
    return {"B"}


def bclc(p):
    return barcelona(p, math.inf)


def bclc_2011(p):
    return barcelona(p, 5)


def cnlc(p):
    if p["ecog"] >= 3 or pugh(p) == "C":
        return {"IV"}
    if p["nodal_metastasis"] or p["distant_metastasis"]:
        return {"IIIb"}
    if macro(p):
        return {"IIIa"}
    size, count = p["tumour_size_cm"], p["tumour_count"]
    if count >= 4:
        return {"IIb"}
    if count >= 2:
        return {"IIa" if size > 3 else "Ib"}
    return {"Ib" if size > 5 else "Ia"}


def okuda(p):
    total = bool(p["tumour_over_half_liver"]) + (p["ascites"] != "none")
    total += (grams(p) < 3) + (milligrams(p) > 3)
    return {"I" if total == 0 else "II" if total <= 2 else "III"}


def clip(p):
    total = "ABC".index(pugh(p))
    total += 2 if p["tumour_over_half_liver"] else int(p["tumour_count"] > 1)
    total += int(p["afp_ng_ml"] >= 400) + int(p["portal_vein_tumour_thrombus"])
    return {total}


def jis(p):
    invasion = p["vascular_invasion"] != "none" or bool(p["portal_vein_tumour_thrombus"])
    met = [p["tumour_count"] == 1, p["tumour_size_cm"] <= 2]
    met.append(not invasion and not p["bile_duct_invasion"])
    stage = {3: 0, 2: 1, 1: 2, 0: 3}[sum(met)]
    if p["nodal_metastasis"] or p["distant_metastasis"]:
        stage = 3
    return {stage + "ABC".index(pugh(p))}


def confined(p):
    return not (macro(p) or p["nodal_metastasis"] or p["distant_metastasis"])


def milan(p):
    size, count = p["tumour_size_cm"], p["tumour_count"]
    return {confined(p) and ((count == 1 and size <= 5) or (count in (2, 3) and size <= 3))}


def up_to_seven(p):
    return {confined(p) and round(p["tumour_size_cm"] + p["tumour_count"], 6) <= 7}


def up_to_seven_pathology(p):
    return {up_to_seven(p) == {True} and p["vascular_invasion"] == "none"}


def contradicts(p):
    return bool(p.get("portal_vein_tumour_thrombus")) and p.get("vascular_invasion") in (
        "none",
        "micro",
    )


def all_answers(rule, names, *, others=None):
    """Return the function from a tuple of values, None where missing, to all answers left.

    `others` replaces the values that stand for a column's.
    """
    values = {name: (others or {}).get(name, VALUES[name]) for name in names}

    @cache
    def answers(patient):
        for place, value in enumerate(patient):
            if value is None:
                filled = [
                    answers((*patient[:place], other, *patient[place + 1 :]))
                    for other in values[names[place]]
                ]
                return frozenset().union(*filled)
        complete = dict(zip(names, patient, strict=True))
        return frozenset() if contradicts(complete) else frozenset(rule(complete))

    return answers

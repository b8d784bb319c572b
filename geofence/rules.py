"""The numbers in the rules, in one place, so that other numbers can be tried on the same days.

DESIGN's "What a visit is" gives them; `cordee replay-rules` reads past days with others. Nothing
here is a setting of the live system: two installations that read the same fixes say the same.
"""

import msgspec


class Rules(msgspec.Struct, frozen=True):
    """What makes a fix usable, a stay a visit, and a day a day.

    Attributes:
        accuracy_m_max: A fix that claims to be worse is not used.
        speed_mps_max: A fix that needs more than this from its neighbours is a jump.
        frozen_m: A position that repeats while the odometer has run this far is frozen.
        margin_m_min: Beyond the fence a van still counts as there for this many metres, ...
        margin_share: ... or for this share of the radius if that is more.
        radius_m: The radius of every circle; None for each site's own.
        back_s: Who is back inside the margin sooner has not left.
        dwell_planned_s: So long a stay at a planned stop is a visit, ...
        dwell_s: ... and so long a stay at any other site.
        uncertain_s: If nobody saw the van for longer than this when it left, the end is uncertain.
        day_turns_h: Local hour at which one working day ends and the next begins.
    """

    accuracy_m_max: float = 100.0
    speed_mps_max: float = 70.0
    frozen_m: float = 100.0
    margin_m_min: float = 25.0
    margin_share: float = 0.25
    radius_m: float | None = None
    back_s: int = 60
    dwell_planned_s: int = 60
    dwell_s: int = 180
    uncertain_s: int = 300
    day_turns_h: int = 3


USUAL = Rules()

"""Interventions: the same realisation of the additive, drawn from some of its parts."""

WITHOUT_GRAPHITE, GRAPHITE_ALONE, WITHOUT_LARGE_PORES = "without_graphite", "graphite_alone", "without_large_pores"
INTERVENTIONS: dict[str, tuple[str, ...]] = {  # the parts that remain
    WITHOUT_GRAPHITE: ("large_pores", "field"),
    GRAPHITE_ALONE: ("graphite",),
    WITHOUT_LARGE_PORES: ("graphite", "field"),
}
INTERVENED = "m_factor_pore_intervened"  # variable of stores whose volumes were drawn again from some parts

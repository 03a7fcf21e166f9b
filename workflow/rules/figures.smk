# Each figure by its path, from the tables alone.


rule figures_draw:
    input:
        tables=figure_tables,
    output:
        pdf="<results>/{part}figures/{figure}.pdf",
        png=report(
            "<results>/{part}figures/{figure}.png",
            caption="../report/figures.rst",
            category="Figures",
            labels={"figure": "{figure}", "part": "{part}"},
        ),
        data="<results>/{part}figures/{figure}.csv",
    log:
        "<logs>/{part}figures_draw/{figure}.log",
    wildcard_constraints:
        part=WITH_PARTIAL,
    localrule: True
    conda:
        "../../environment.yml"
    shell:
        r"""
        python workflow/scripts/figures_draw.py \
            --figure {wildcards.figure:q} \
            --tables {input.tables:q} \
            --pdf {output.pdf:q} \
            --png {output.png:q} \
            --data {output.data:q} \
            >{log:q} 2>&1
        """

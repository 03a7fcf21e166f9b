# Each figure by its path, from the tables alone.


rule figures_draw:
    input:
        organisms="<results>/{part}organisms.csv",
        runs="<results>/{part}runs.csv",
        summary="<results>/{part}summary.csv",
    output:
        pdf="<results>/{part}figures/{figure}.pdf",
        png="<results>/{part}figures/{figure}.png",
        data="<results>/{part}figures/{figure}.csv",
    log:
        "<logs>/{part}figures_draw/{figure}.log",
    localrule: True
    conda:
        "../../environment.yml"
    shell:
        r"""
        python workflow/scripts/figures_draw.py \
            --figure {wildcards.figure:q} \
            --organisms {input.organisms:q} \
            --runs {input.runs:q} \
            --summary {input.summary:q} \
            --pdf {output.pdf:q} \
            --png {output.png:q} \
            --data {output.data:q} \
            >{log:q} 2>&1
        """

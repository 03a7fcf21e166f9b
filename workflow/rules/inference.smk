# What the sweep's matrix of runs can detect, before any job runs; the comparison with the paper.

from entrench.study.specs.tables import comparison_spec, power_spec, rates_spec


rule power_estimate:
    input:
        pilot=pilot_file,
    output:
        power=report(
            ensure("<results>/{part}power.csv", non_empty=True),
            caption="../report/power.rst",
            category="Tables",
            labels={"table": "power", "part": "{part}"},
        ),
    log:
        "<logs>/{part}power_estimate.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        spec=spec_of_part(power_spec),
    shell:
        r"""
        python workflow/scripts/power_estimate.py \
            --spec {params.spec:q} \
            --pilot "{input.pilot}" \
            --power {output.power:q} \
            >{log:q} 2>&1
        """


rule rates_simulate:
    output:
        rates=ensure("<results>/{part}error_rates.csv", non_empty=True),
    log:
        "<logs>/{part}rates_simulate.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        spec=spec_of_part(rates_spec),
    shell:
        r"""
        python workflow/scripts/rates_simulate.py \
            --spec {params.spec:q} \
            --rates {output.rates:q} \
            >{log:q} 2>&1
        """


rule paper_compare:
    input:
        runs="<results>/{part}runs_detail.csv",
    output:
        comparison=report(
            ensure("<results>/{part}comparison_with_paper.csv", non_empty=True),
            caption="../report/comparison_with_paper.rst",
            category="Tables",
            labels={"table": "comparison_with_paper", "part": "{part}"},
        ),
    log:
        "<logs>/{part}paper_compare.log",
    localrule: True
    conda:
        "../../environment.yml"
    resources:
        results=CONFIG.pathvars.results,
    params:
        spec=spec_of_part(comparison_spec),
    shell:
        r"""
        python workflow/scripts/paper_compare.py \
            --spec {params.spec:q} \
            --results {resources.results:q} \
            --runs {input.runs:q} \
            --comparison {output.comparison:q} \
            >{log:q} 2>&1
        """

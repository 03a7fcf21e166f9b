# The released files, fetched and verified; the rows of every slot, from these files or synthetic.

from entrench.study.specs.data import data_spec, fetch_spec


rule data_fetch:
    output:
        ensure("<results>/data/release/{released}", non_empty=True),
    log:
        "<logs>/data_fetch/{released}.log",
    localrule: True
    conda:
        "../../environment.yml"
    resources:
        url=lambda wildcards: CONFIG.data.url or released.base_url(wildcards.released),
        mirror=CONFIG.data.mirror or "",
    params:
        spec=spec(fetch_spec, lambda wildcards: wildcards.released),
    shell:
        r"""
        python workflow/scripts/data_fetch.py \
            --spec {params.spec:q} \
            --url {resources.url:q} \
            --mirror={resources.mirror:q} \
            --file {output:q} \
            >{log:q} 2>&1
        """


rule data_prepare:
    input:
        remake_stale,
        files=released_files,
    output:
        expand("<results>/data/{{misalignment}}/{slot}.jsonl", slot=SLOTS),
    log:
        "<logs>/data_prepare/{misalignment}.log",
    localrule: True
    conda:
        "../../environment.yml"
    resources:
        release=f"{CONFIG.pathvars.results}/data/release",
    params:
        spec=spec(data_spec, lambda wildcards: wildcards.misalignment),
    shell:
        r"""
        python workflow/scripts/data_prepare.py \
            --spec {params.spec:q} \
            --release {resources.release:q} \
            --slots {output:q} \
            >{log:q} 2>&1
        """

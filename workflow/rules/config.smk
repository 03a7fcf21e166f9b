# The config files as text: checked before Snakemake reads config.yaml. This file has no rule.

import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

sys.path.insert(0, str(Path(workflow.basedir) / "workflow" / "scripts"))

from entrench.errors import EntrenchError
from entrench.study.config_files import check_config

CONFIG_FILES = list(workflow.overwrite_configfiles)
if not workflow.config_settings.replace_workflow_config and Path("config/config.yaml").is_file():
    CONFIG_FILES.append(Path("config/config.yaml"))
try:
    for file in CONFIG_FILES if workflow.is_main_process else []:
        check_config(file)
except EntrenchError as error:
    raise WorkflowError(str(error)) from None

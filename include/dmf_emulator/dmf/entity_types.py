"""Properties, keys and enums of the entity sets: what `$metadata` declares and what queries are checked against.

Sources: docs/wire/dmf-package-api.md#entity-sets, docs/wire/dmf-package-api.md#job-details.
"""

from __future__ import annotations

from typing import Final

NAMESPACE: Final = "Microsoft.Dynamics.DataEntities"
TEXT: Final = "Edm.String"
NUMBER: Final = "Edm.Int32"
TIME: Final = "Edm.DateTimeOffset"
_YES_OR_NO = f"{NAMESPACE}.NoYes"
_OPERATION = f"{NAMESPACE}.DMFOperationType"
_BATCH_STATUS = f"{NAMESPACE}.DMFBatchJobStatus"

ENUMS: Final = {
    "NoYes": ("No", "Yes"),
    "DMFOperationType": ("None", "Import", "Export"),
    # Both families of words that public clients have seen; no list of the labels was found.
    "DMFBatchJobStatus": (
        "Unknown", "NotRun", "Executing", "Finished", "Error", "Aborted", "Succeeded", "PartiallySucceeded", "Failed",
        "Canceled",
    ),
    "DMFExecutionSummaryStatus": (
        "Unknown", "NotRun", "Executing", "Succeeded", "PartiallySucceeded", "Failed", "Canceled",
    ),
    "DMFMessageStatus": ("Enqueued", "Dequeued", "Processing", "Processed", "ProcessedWithErrors"),
}  # fmt: skip
LABELS: Final = {f"{NAMESPACE}.{name}": labels for name, labels in ENUMS.items()}

_IN_ORDER = {"ExecutionUnit": NUMBER, "LevelInExecutionUnit": NUMBER, "SequenceInLevel": NUMBER}
FIELDS: Final[dict[str, dict[str, str]]] = {
    "DataManagementDefinitionGroups": {
        "Name": TEXT, "ProjectCategory": TEXT, "OperationType": _OPERATION, "GenerateDataPackage": _YES_OR_NO,
        "Description": TEXT, "TruncateEntityData": _YES_OR_NO,
    },
    "DataManagementDefinitionGroupDetails": {
        "DefinitionGroupId": TEXT, "EntityName": TEXT, "SourceFormat": TEXT, "DefaultRefreshType": TEXT,
        "SkipStaging": _YES_OR_NO, "ValidationStatus": _YES_OR_NO, "AutoGenerateMapping": _YES_OR_NO, **_IN_ORDER,
        "Disable": _YES_OR_NO,
    },
    "DataManagementExecutionJobs": {"JobId": TEXT, "Description": TEXT},
    "LegalEntities": {"LegalEntityId": TEXT, "Name": TEXT},
    "DataManagementExecutionJobDetails": {
        "JobId": TEXT, "DefinitionGroupId": TEXT, "EntityName": TEXT, "StagingStatus": _BATCH_STATUS,
        "TargetStatus": _BATCH_STATUS, "StagingRecordsToBeProcessedCount": NUMBER, "StagingRecordsCreatedCount": NUMBER,
        "TargetRecordsCreatedCount": NUMBER, "TargetRecordsUpdatedCount": NUMBER, "SourceFormat": TEXT, **_IN_ORDER,
        "StagingStartDateTime": TIME, "StagingEndDateTime": TIME, "TargetStartDateTime": TIME,
        "TargetEndDateTime": TIME,
    },
}  # fmt: skip
KEYS: Final = {
    "DataManagementDefinitionGroups": ("Name",),
    "DataManagementDefinitionGroupDetails": ("DefinitionGroupId", "EntityName"),
    "DataManagementExecutionJobs": ("JobId",),
    "LegalEntities": ("LegalEntityId",),
    "DataManagementExecutionJobDetails": ("DefinitionGroupId", "JobId", "EntityName"),
}
# A key that a client of a real environment sends names the kind of the project as well
# (docs/wire/dmf-package-api.md#data-projects).
ALSO_IN_KEYS: Final = {"DataManagementDefinitionGroups": frozenset({"OperationType"})}

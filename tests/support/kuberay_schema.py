"""The structure of KubeRay's RayJob and RayCluster (ray.io/v1, release 1.6.2) as JSON schemas.

Every field that KubeRay defines, with its type, and the fields of Kubernetes that our pods use;
nothing else passes. The API server drops or refuses fields that it does not know, so a typo
would only show when a setting has no effect.
"""

from typing import Any

Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
BOOLEAN: Schema = {"type": "boolean"}
INTEGER: Schema = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
NUMBER: Schema = {"type": "number", "minimum": 0}
STRINGS: Schema = {"type": "object", "additionalProperties": STRING}
# YAML's unquoted 4 is a number, which Kubernetes takes for a quantity, too.
QUANTITY: Schema = {
    "type": ["string", "integer"],
    "pattern": r"^\d+(\.\d+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$",
}
NAME: Schema = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63}
PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65535}


def one_of(*values: str) -> Schema:
    return {"enum": list(values)}


def list_of(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def fields(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    """An object with these fields and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


# Kubernetes, as far as it is used.
METADATA = fields(("name",), name=NAME, namespace=NAME, labels=STRINGS, annotations=STRINGS)
RESOURCES = fields(
    requests={"type": "object", "additionalProperties": QUANTITY},
    limits={"type": "object", "additionalProperties": QUANTITY},
)
KEY_OF_SECRET = fields(("name", "key"), name=NAME, key=STRING, optional=BOOLEAN)
ENV = fields(("name",), name=STRING, value=STRING, valueFrom=fields(secretKeyRef=KEY_OF_SECRET))
ENV_FROM = fields(secretRef=fields(("name",), name=NAME, optional=BOOLEAN))
MOUNT = fields(("name", "mountPath"), name=NAME, mountPath=STRING, subPath=STRING, readOnly=BOOLEAN)
PULL_POLICY = one_of("Always", "IfNotPresent", "Never")
CONTAINER = fields(
    ("name", "image"),
    name=NAME,
    image=STRING,
    imagePullPolicy=PULL_POLICY,
    command=list_of(STRING),
    args=list_of(STRING),
    env=list_of(ENV),
    envFrom=list_of(ENV_FROM),
    ports=list_of(fields(("containerPort",), containerPort=PORT, name={**NAME, "maxLength": 15})),
    resources=RESOURCES,
    volumeMounts=list_of(MOUNT),
)
VOLUME = fields(
    ("name",),
    name=NAME,
    emptyDir=fields(medium=one_of("", "Memory"), sizeLimit=QUANTITY),
    hostPath=fields(("path",), path=STRING, type=one_of("Directory", "DirectoryOrCreate")),
    persistentVolumeClaim=fields(("claimName",), claimName=NAME, readOnly=BOOLEAN),
)
POD_SPEC = fields(
    ("containers",),
    containers={**list_of(CONTAINER), "minItems": 1},
    volumes=list_of(VOLUME),
    serviceAccountName=NAME,
    nodeSelector=STRINGS,
    tolerations=list_of(fields(key=STRING, operator=STRING, value=STRING, effect=STRING)),
    restartPolicy=one_of("Always", "OnFailure", "Never"),
    terminationGracePeriodSeconds=INTEGER,
)
POD = fields(("spec",), metadata=fields(labels=STRINGS, annotations=STRINGS), spec=POD_SPEC)
NOT_USED = fields()  # a type of Kubernetes that none of our files has a field of

# KubeRay, whole.
MANAGED_BY = one_of("ray.io/kuberay-operator", "kueue.x-k8s.io/multikueue")
REDIS_CREDENTIAL = fields(value=STRING, valueFrom=NOT_USED)
AUTOSCALER = fields(
    resources=RESOURCES,
    image=STRING,
    imagePullPolicy=PULL_POLICY,
    securityContext=NOT_USED,
    idleTimeoutSeconds=INTEGER,
    upscalingMode=one_of("Default", "Aggressive", "Conservative"),
    version=one_of("v1", "v2"),
    env=list_of(ENV),
    envFrom=list_of(ENV_FROM),
    volumeMounts=list_of(MOUNT),
)
HEAD_GROUP = fields(
    # rayStartParams may be left out since KubeRay 1.4.
    ("template", "rayStartParams"),
    template=POD,
    headService=NOT_USED,
    enableIngress=BOOLEAN,
    resources=STRINGS,
    labels=STRINGS,
    rayStartParams=STRINGS,
    serviceType=one_of("ClusterIP", "NodePort", "LoadBalancer"),
)
WORKER_GROUP = fields(
    ("groupName", "minReplicas", "maxReplicas", "rayStartParams", "template"),
    suspend=BOOLEAN,
    groupName=NAME,
    replicas=INTEGER,
    minReplicas=INTEGER,
    maxReplicas=INTEGER,
    idleTimeoutSeconds=INTEGER,
    resources=STRINGS,
    labels=STRINGS,
    rayStartParams=STRINGS,
    template=POD,
    scaleStrategy=fields(workersToDelete=list_of(STRING)),
    numOfHosts=INTEGER,
)
CLUSTER_SPEC = fields(
    ("headGroupSpec",),
    upgradeStrategy=fields(type=one_of("Recreate", "None")),
    authOptions=fields(
        enableK8sTokenAuth=BOOLEAN, secretName=NAME, mode=one_of("disabled", "token")
    ),
    suspend=BOOLEAN,
    managedBy=MANAGED_BY,
    autoscalerOptions=AUTOSCALER,
    headServiceAnnotations=STRINGS,
    enableInTreeAutoscaling=BOOLEAN,
    gcsFaultToleranceOptions=fields(
        ("redisAddress",),
        redisUsername=REDIS_CREDENTIAL,
        redisPassword=REDIS_CREDENTIAL,
        externalStorageNamespace=STRING,
        redisAddress=STRING,
    ),
    headGroupSpec=HEAD_GROUP,
    rayVersion=STRING,
    workerGroupSpecs=list_of(WORKER_GROUP),
)
DELETION = one_of("DeleteCluster", "DeleteWorkers", "DeleteSelf", "DeleteNone")
DELETION_RULE = fields(
    ("policy", "condition"),
    policy=DELETION,
    condition=fields(jobStatus=STRING, jobDeploymentStatus=STRING, ttlSeconds=INTEGER),
)
JOB_SPEC = fields(
    activeDeadlineSeconds=INTEGER,
    backoffLimit=INTEGER,
    rayClusterSpec=CLUSTER_SPEC,
    submitterPodTemplate=POD,
    metadata=STRINGS,
    clusterSelector=STRINGS,
    submitterConfig=fields(backoffLimit=INTEGER),
    managedBy=MANAGED_BY,
    deletionStrategy=fields(
        onSuccess=fields(policy=DELETION),
        onFailure=fields(policy=DELETION),
        deletionRules={**list_of(DELETION_RULE), "minItems": 1},
    ),
    entrypoint=STRING,
    runtimeEnvYAML=STRING,
    jobId=STRING,
    submissionMode=one_of("K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"),
    entrypointResources=STRING,
    entrypointNumCpus=NUMBER,
    entrypointNumGpus=NUMBER,
    ttlSecondsAfterFinished=INTEGER,
    preRunningDeadlineSeconds={**INTEGER, "minimum": 1},
    shutdownAfterJobFinishes=BOOLEAN,
    suspend=BOOLEAN,
)


def _kind(name: str, spec: Schema) -> Schema:
    return fields(
        ("apiVersion", "kind", "metadata", "spec"),
        apiVersion=one_of("ray.io/v1"),
        kind=one_of(name),
        metadata=METADATA,
        spec=spec,
    )


KINDS = {"RayCluster": _kind("RayCluster", CLUSTER_SPEC), "RayJob": _kind("RayJob", JOB_SPEC)}

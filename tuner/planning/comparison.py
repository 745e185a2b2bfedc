"""Plans a comparison of methods: one search each, with equal budgets."""

from dataclasses import dataclass

from search_spaces import SPACES, Space, SpaceError, load_space
from search_spaces.wording import list_of, suggestion
from tuner.config.options import SearchRequest
from tuner.config.run_folder import default_tracking_uri
from tuner.planning.checks import check_name
from tuner.planning.search import DEFAULT_TRIALS, Search, default_name, plan_search
from tuner.storage.folder import Storage
from tuner.text.errors import RequestError

ALL = "all"


@dataclass(frozen=True)
class Comparison:
    """Searches that differ only in their space; nothing has been written yet."""

    name: str
    request: SearchRequest  # every value resolved
    searches: tuple[Search, ...]

    @property
    def runs(self) -> Storage:
        return Storage(self.request.runs_dir)

    @property
    def storage(self) -> Storage:
        """The comparison's own folder, with a folder for each search in it."""
        return self.runs.sub(self.name)


def is_comparison(request: SearchRequest) -> bool:
    """Whether the request names several spaces."""
    return request.space == ALL or len(_names(request.space)) > 1


def plan_comparison(request: SearchRequest) -> Comparison:
    """Resolves a request for several spaces. Raises what `plan_search` raises; reads no data."""
    if request.seeds == 0:
        raise RequestError("methods are compared by their final trainings; give --seeds 1 or more")
    if request.algo == "grid" and request.trials is None:
        raise RequestError("the methods' grids differ in size; give --trials for equal budgets")
    spaces = spaces_of(request.space)
    _check_pins(request, spaces)
    name = request.name or default_name("methods", request.data)
    check_name(name)
    runs = Storage(request.runs_dir)
    shared = {
        "trials": request.trials or DEFAULT_TRIALS,
        "runs_dir": runs.sub(name).uri,
        "tracking_uri": request.tracking_uri or default_tracking_uri(runs, request.data_dir),
    }
    searches: list[Search] = []
    refusals: list[RequestError] = []
    for space, declared in spaces.items():
        own = {"space": space, "set": declared.own_pins(request.set), "name": declared.method}
        try:
            request_of_one = request.model_copy(update={**shared, **own})
            searches.append(plan_search(request_of_one))
        except RequestError as error:
            refusals.append(error)
    # `all` skips methods that the request does not suit, such as one without hyperparameters: pbt.
    if refusals and (request.space != ALL or not searches):
        raise refusals[0]
    # All searches share the workload; space and pins are the comparison's.
    resolved = searches[0].request.model_copy(
        update={
            "name": name,
            "space": request.space,
            "set": request.set,
            "runs_dir": runs.uri,
            "trials": shared["trials"],
            "tracking_uri": request.tracking_uri,
        }
    )
    return Comparison(name, resolved, tuple(searches))


def _names(text: str) -> list[str]:
    return [name for part in text.split(",") if (name := part.strip())]


def spaces_of(text: str) -> dict[str, Space]:
    """The requested spaces by their given names. Raises RequestError if two have one method."""
    spaces: dict[str, Space] = {}
    for name in list(SPACES) if text == ALL else _names(text):
        space = load_space(name)
        if space.method in {other.method for other in spaces.values()}:
            raise RequestError(f"space has {space.method} twice; name each method once")
        spaces[name] = space
    return spaces


def _check_pins(request: SearchRequest, spaces: dict[str, Space]) -> None:
    known = {parameter.name for space in spaces.values() for parameter in space.params}
    methods = {space.method for space in spaces.values()}
    for name in request.set:
        if name.partition(".")[0] in methods and "." in name:
            continue  # the method's own space checks it
        if name not in known:
            raise SpaceError(
                f"no method has a hyperparameter {name!r}{suggestion(name, sorted(known))}"
                f" known: {list_of(sorted(known))}"
            )

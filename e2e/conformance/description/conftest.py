"""How many requests are made up."""


def pytest_addoption(parser):
    parser.addoption("--examples", type=int, default=4, help="requests made up for each operation, beyond those at the bounds of each schema")
    parser.addoption("--all-models", action="store_true", help="over models of every datatype and shape instead of a few")

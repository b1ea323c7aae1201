"""Is in the simplest form, and its metadata cannot be had."""


class Plugin:
    oreflow_api = 1

    @property
    def metadata(self):
        raise RuntimeError("no metadata today")

    def create_processor(self, config):
        return None

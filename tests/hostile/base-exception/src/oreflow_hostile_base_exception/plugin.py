"""Raises what is no Exception, only a BaseException, when it is imported."""


class Fatal(BaseException):
    pass


raise Fatal("no Exception, only a BaseException")

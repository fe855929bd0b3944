from auth.adapters.disposable import is_disposable
from auth.adapters.passkeys import RelyingParty
from auth.domain.sign_up_proof import is_solved


def test_a_domain_below_a_listed_one_is_listed_and_one_that_only_ends_like_it_is_not():
    assert is_disposable("ada@mailinator.com")
    assert is_disposable("ada@a.b.mailinator.com")
    assert not is_disposable("ada@no-mailinator.com.example.com")
    assert not is_disposable("ada@example.com")


def test_passkeys_are_for_the_public_domain_and_on_ones_own_machine_for_localhost():
    public = RelyingParty("https://fare.example/", more_origins=("https://app.fare.example",))
    own = RelyingParty("http://127.0.0.1:8080")

    assert (public.id, public.origins) == ("fare.example", ["https://fare.example", "https://app.fare.example"])
    assert (own.id, own.origins) == ("localhost", ["http://localhost:8080"])


def test_work_is_done_when_enough_bits_are_zero():
    solution = next(str(n) for n in range(10_000) if is_solved("c", str(n), bits=8))

    assert not is_solved("d", solution, bits=24)
    assert is_solved("c", solution, bits=1)

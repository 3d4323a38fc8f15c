/* The texts of pages and mails, side by side in English and French. */
#include "cloud-service/text/text.h"

#include "common/error.h"

/* A no-break space, which French puts before some punctuation. */
#define NB "\u00a0"

struct row {
	const char *name;
	const char *text[TEXT_LANGUAGE_COUNT];
};

static const struct row rows[] = {
    {"t.language", {"English", "Français"}},
    {"t.home-unknown", {"Mail delivery", "Remise du courrier"}},
    {"t.footer",
     {"This page sets no cookie, runs no script and loads nothing from other "
      "sites. It never asks for a password.",
      "Cette page ne dépose aucun cookie, n’exécute aucun script et ne charge "
      "rien d’un autre site. Elle ne demande jamais de mot de passe."}},

    {"t.open-title",
     {"One step, and your message is delivered",
      "Plus qu’une étape, et votre message sera remis"}},
    {"t.open-lead",
     {"Your message has arrived and is kept safe. Your address is not known "
      "at {{name}} yet: please confirm, once, that you are a person.",
      "Votre message est bien arrivé, il est en sûreté. Votre adresse n’est "
      "pas encore connue chez {{name}}" NB
      ": confirmez une seule fois que vous êtes une personne."}},
    {"t.your-message", {"Your message", "Votre message"}},
    {"t.from", {"From", "De"}},
    {"t.to", {"To", "À"}},
    {"t.more", {"and {{more}} more", "et {{more}} de plus"}},
    {"t.subject", {"Subject", "Objet"}},
    {"t.sent", {"Arrived", "Arrivé"}},
    {"t.image-alt",
     {"Picture of the six letters and digits to type",
      "Image des six lettres et chiffres à saisir"}},
    {"t.answer-label",
     {"Type the six characters of the picture",
      "Saisissez les six caractères de l’image"}},
    {"t.answer-hint",
     {"Capital or small letters: both are fine.",
      "Majuscules ou minuscules, peu importe."}},
    {"t.submit", {"Deliver my message", "Transmettre mon message"}},
    {"t.another", {"Show another picture", "Afficher une autre image"}},
    {"t.wrong",
     {"That was not what the picture showed. Here is a new one. "
      "Attempts left: {{left}}.",
      "Ce n’est pas ce que montrait l’image. En voici une nouvelle. "
      "Essais restants" NB ": {{left}}."}},
    {"t.wrong-empty",
     {"Please type the six characters of the picture.",
      "Veuillez saisir les six caractères de l’image."}},
    {"t.replaced",
     {"The picture was replaced meanwhile, in another window perhaps. Your "
      "answer was not counted. Please read the new one.",
      "L’image a été remplacée entre-temps, peut-être dans une autre "
      "fenêtre. Votre réponse n’a pas été comptée" NB
      ": veuillez lire la nouvelle image."}},
    {"t.no-more-images",
     {"There are no more new pictures. Please answer this one.",
      "Il n’y a plus de nouvelle image. Veuillez répondre à celle-ci."}},

    {"t.why", {"Why do I see this page?", "Pourquoi cette page" NB "?"}},
    {"t.why-text",
     {"Most mail in the world is sent by machines to people who never asked "
      "for it. At {{name}}, the first message of an unknown sender therefore "
      "waits until a person confirms it. You do this once.",
      "La plupart des courriels sont envoyés par des machines à des gens qui "
      "n’ont rien demandé. Chez {{name}}, le premier message d’un expéditeur "
      "inconnu attend donc qu’une personne le confirme. Vous ne le faites "
      "qu’une fois."}},
    {"t.next", {"What happens next?", "Et ensuite" NB "?"}},
    {"t.next-text",
     {"Your message is delivered within a minute or so, unchanged, and so are "
      "others of yours that wait here. Your next ones pass directly. This "
      "link works until {{expires}}.",
      "Votre message est remis tel quel, en une minute environ, comme les "
      "autres messages de vous qui attendent ici. Les suivants passeront "
      "directement. Ce lien est valable jusqu’au {{expires}}."}},
    {"t.kept", {"What is kept?", "Qu’est-ce qui est conservé" NB "?"}},
    {"t.kept-text",
     {"Your address is noted as one of a person, so that you are not asked "
      "again. For the message itself: who wrote to whom, when, its size and, "
      "for some organisations, its subject. What you type here is compared "
      "and not kept; a log notes when and from which network address.",
      "Votre adresse est notée comme celle d’une personne, afin que la "
      "question ne vous soit plus posée. Pour le message" NB ": qui a écrit "
      "à qui, quand, sa taille et, chez certaines organisations, son objet. "
      "Ce que vous saisissez ici est comparé, puis oublié" NB
      "; un journal note quand et depuis quelle adresse réseau."}},
    {"t.blind",
     {"I cannot see or read the picture",
      "Je ne peux pas voir ou lire l’image"}},
    {"t.blind-text",
     {"Tell the person you wrote to another way, by telephone for instance, "
      "that a message from you is waiting: the mail administrator of {{name}} "
      "can let it through without this page.",
      "Prévenez la personne à qui vous avez écrit par un autre moyen, par "
      "téléphone par exemple, qu’un message de vous attend" NB
      ": l’administrateur du courrier, chez {{name}}, peut le laisser passer "
      "sans cette page."}},
    {"t.not-me",
     {"I did not write this message", "Je n’ai pas écrit ce message"}},
    {"t.not-me-text",
     {"Then someone else used your address. Close this page and do nothing: "
      "the message is not delivered by this page, and you need not answer.",
      "Quelqu’un d’autre s’est alors servi de votre adresse. Fermez cette "
      "page sans rien faire" NB ": elle ne remettra pas le message, et "
      "vous n’avez pas à répondre."}},

    {"t.solved-title",
     {"Thank you. Your message is on its way",
      "Merci. Votre message est en route"}},
    {"t.solved-lead",
     {"It is being handed to the recipient’s mail server, exactly as you "
      "wrote it.",
      "Il est en cours de remise au serveur du destinataire, exactement tel "
      "que vous l’avez écrit."}},
    {"t.solved-next",
     {"You need not do anything more. Your next messages pass directly. You "
      "can close this page.",
      "Vous n’avez plus rien à faire. Vos prochains messages passeront "
      "directement. Vous pouvez fermer cette page."}},
    {"t.already-title", {"This was done already", "C’est déjà fait"}},
    {"t.already-lead",
     {"You have confirmed it before, and your message was let through then.",
      "Vous l’avez déjà confirmé, et votre message est passé à ce "
      "moment-là."}},
    {"t.already-next",
     {"You need not do anything more. You can close this page.",
      "Vous n’avez plus rien à faire. Vous pouvez fermer cette page."}},
    {"t.released-title",
     {"Your message is on its way", "Votre message est en route"}},
    {"t.released-lead",
     {"It was let through without your answer, and is being handed to the "
      "recipient’s mail server.",
      "On l’a laissé passer sans attendre votre réponse" NB
      ": il est en cours de remise au serveur du destinataire."}},
    {"t.delivered-title",
     {"Your message was delivered", "Votre message a été remis"}},
    {"t.delivered-lead",
     {"It was let through without your answer, exactly as you wrote it.",
      "On l’a laissé passer sans attendre votre réponse, exactement tel que "
      "vous l’avez écrit."}},
    {"t.expired-title",
     {"This link is no longer valid", "Ce lien n’est plus valable"}},
    {"t.expired-lead",
     {"It has expired: this page cannot deliver your message any more.",
      "Il a expiré" NB ": cette page ne peut plus remettre votre message."}},
    {"t.expired-next",
     {"If it still matters, send your message again: you will get a new "
      "link. Or tell the recipient another way.",
      "Si votre message compte encore, renvoyez-le" NB ": vous recevrez un "
      "nouveau lien. Ou prévenez le destinataire par un autre moyen."}},
    {"t.blocked-title",
     {"Too many wrong answers", "Trop de mauvaises réponses"}},
    {"t.blocked-lead",
     {"To keep machines from guessing, this link takes no more answers. Your "
      "message is not lost: it goes on waiting.",
      "Pour que des machines ne puissent pas deviner, ce lien n’accepte plus "
      "de réponse. Votre message n’est pas perdu" NB ": il attend toujours."}},
    {"t.blocked-next",
     {"Tell the person you wrote to another way, by telephone for instance, "
      "that a message from you is waiting: their mail administrator can let "
      "it through.",
      "Prévenez la personne à qui vous avez écrit par un autre moyen, par "
      "téléphone par exemple, qu’un message de vous attend" NB
      ": l’administrateur de son courrier peut le laisser passer."}},
    {"t.unknown-title",
     {"This link is not known here", "Ce lien n’est pas connu ici"}},
    {"t.unknown-lead",
     {"Perhaps it was cut when it was copied. Please use the whole link of "
      "the mail that you received.",
      "Il a peut-être été coupé lors de la copie. Utilisez le lien entier du "
      "courriel que vous avez reçu."}},
    {"t.unknown-next",
     {"If you came here by chance, there is nothing to do.",
      "Si vous êtes ici par hasard, il n’y a rien à faire."}},
    {"t.trouble-title",
     {"This does not work just now", "Cela ne fonctionne pas pour l’instant"}},
    {"t.trouble-lead",
     {"The fault is ours. Your message is safe, and nothing that you did is "
      "lost.",
      "L’erreur vient de nous. Votre message est en sûreté et rien de ce "
      "que vous avez fait n’est perdu."}},
    {"t.trouble-next",
     {"Please try again in a minute.", "Veuillez réessayer dans une minute."}},
    {"t.retry", {"Try again", "Réessayer"}},
    {"t.nothing-title", {"There is nothing here", "Il n’y a rien ici"}},
    {"t.nothing-lead",
     {"If a link of a mail brought you here, please use the whole link.",
      "Si un lien d’un courriel vous a conduit ici, utilisez le lien entier."}},
    {"t.nothing-next",
     {"The front page of this address says what it is for.",
      "La page d’accueil de cette adresse explique à quoi elle sert."}},
    {"t.odd-title",
     {"This cannot be done here", "Ceci n’est pas possible ici"}},
    {"t.odd-lead",
     {"What was sent is nothing that this page asks for.",
      "Ce qui a été envoyé n’est rien que cette page demande."}},
    {"t.about-title",
     {"This address delivers mail from people not known yet",
      "Cette adresse remet le courrier de personnes encore inconnues"}},
    {"t.about-lead",
     {"Some organisations keep the first message of an unknown sender until a "
      "person has shown, once, to have written it. That sender gets one mail "
      "with a link to this address: the link opens a page with six characters "
      "to type, and the message is delivered. Later ones pass directly.",
      "Certaines organisations gardent le premier message d’une adresse "
      "inconnue jusqu’à ce qu’une personne ait montré, une seule fois, qu’elle "
      "l’a écrit. Elle reçoit un courriel avec un lien vers cette adresse" NB
      ": il ouvre une page avec six caractères à saisir, et le message est "
      "remis. Les suivants passent directement."}},
    {"t.about-next",
     {"You got such a mail and are in doubt? It names the message that you "
      "wrote, and to whom. If you did not write it, ignore the mail: nothing "
      "is delivered then. You can also ask the person you wrote to. Nobody is "
      "asked for a password, a payment, a file or personal data here.",
      "Vous avez reçu un tel courriel et vous hésitez" NB "? Il cite le "
      "message que vous avez écrit et à qui. Si vous ne l’avez pas écrit, "
      "ignorez-le" NB ": rien ne sera remis. Vous pouvez aussi demander à la "
      "personne à qui vous avez écrit. Personne ne vous demande ici de mot de "
      "passe, de paiement, de fichier ni de données personnelles."}},

    {"m.subject",
     {"Your message to {{recipient}} is waiting for one step",
      "Votre message à {{recipient}} attend une confirmation"}},
    /* The first line, which an inbox shows beside the subject. */
    {"m.preview",
     {"Please confirm that you are a person, and your message to "
      "{{recipient}} is delivered.",
      "Confirmez une seule fois que vous êtes une personne, et votre message "
      "à {{recipient}} sera remis."}},
    {"m.hint", {"(English text below)", "(texte français plus bas)"}},
    {"m.hello", {"Hello,", "Bonjour,"}},
    {"m.lead",
     {"A message from your address has arrived at {{name}}. It is kept safe "
      "and has not been delivered yet:",
      "Un message envoyé depuis votre adresse est arrivé chez {{name}}. Il "
      "est en sûreté et n’a pas encore été remis" NB ":"}},
    {"m.from", {"From", "De"}},
    {"m.to", {"To", "À"}},
    {"m.subject-label", {"Subject", "Objet"}},
    {"m.sent", {"Arrived", "Arrivé"}},
    {"m.colon", {":", NB ":"}},
    {"m.ask",
     {"Your address is not known at {{name}} yet, where every new "
      "correspondent is asked once. To confirm that you are a person, open "
      "this page and type the six characters it shows:",
      "Votre adresse n’est pas encore connue chez {{name}}, où l’on pose la "
      "question une fois à chaque nouveau correspondant. Pour confirmer que "
      "vous êtes une personne, ouvrez cette page et saisissez les six "
      "caractères affichés" NB ":"}},
    {"m.button", {"Deliver my message", "Transmettre mon message"}},
    {"m.or-link",
     {"Or copy this address into your browser:",
      "Ou copiez cette adresse dans votre navigateur" NB ":"}},
    {"m.after",
     {"Your message is then delivered unchanged, and your next ones pass "
      "directly. The link works until {{expires}}.",
      "Votre message est alors remis tel quel, et les suivants passent "
      "directement. Le lien est valable jusqu’au {{expires}}."}},
    {"m.not-me",
     {"If you did not write this message, someone else used your address: "
      "please ignore this mail. Nothing is delivered then, and you get no "
      "second one for it.",
      "Si vous n’avez pas écrit ce message, quelqu’un d’autre s’est servi de "
      "votre adresse" NB ": ignorez ce courriel. Rien ne sera remis et vous "
      "n’en recevrez pas d’autre à ce sujet."}},
    {"m.safe",
     {"We never ask for a password, a payment or personal data. If in doubt, "
      "ask the person you wrote to another way, by telephone for instance.",
      "Nous ne demandons jamais de mot de passe, de paiement ni de données "
      "personnelles. En cas de doute, demandez par un autre moyen, par "
      "téléphone par exemple, à la personne à qui vous avez écrit."}},
    {"m.auto",
     {"This mail is an automatic reply to your message.",
      "Ce courriel a été envoyé automatiquement, en réponse à votre "
      "message."}},
};

const char *text_find(enum text_language language, const char *name)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcmp(rows[i].name, name) == 0)
			return rows[i].text[language];
	return NULL;
}
